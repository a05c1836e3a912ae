/* The least that can talk to celebs: a blocking client that knows what to ask and where each answer ends.
   It asks for linus, then quits, and shows the conversation. Usage: talk PORT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connection;

/* Shows what comes until it ends in LAST, or with the connection where LAST is NULL. */
static int show(const char *last)
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
    if (!show(prompt) || write(connection, "linus\n", 6) != 6 || !show(prompt) || write(connection, "quit\n", 5) != 5)
        return 1;
    return show(NULL) ? 0 : 1;
}
