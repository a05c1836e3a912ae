/* A minimal client of celebs: blocking, and it knows where each answer ends. It sends linus and quit, and prints the
   session. Usage: celebs-client PORT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connection;

/* Prints what the server sends, until that ends with LAST, or until the server closes if LAST is NULL. */
static int print_until(const char *last)
{
    char answer[4096];
    size_t length = 0;
    for (;;) {
        ssize_t n = read(connection, answer + length, sizeof answer - length);
        if (n < 0 || (n == 0 && last))
            return 0;
        if (n == 0)
            return 1;
        if (write(1, answer + length, (size_t)n) != n)
            return 0;
        length += (size_t)n;
        if (last && length >= strlen(last) && !memcmp(answer + length - strlen(last), last, strlen(last)))
            return 1;
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *prompt = "Please type Linux celebs name below:\n";

    address.sin_port = htons((unsigned short)(argc == 2 ? atoi(argv[1]) : 0));
    connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address))
        return 1;
    if (!print_until(prompt) || write(connection, "linus\n", 6) != 6 || !print_until(prompt) || write(connection, "quit\n", 5) != 5)
        return 1;
    return print_until(NULL) ? 0 : 1;
}
