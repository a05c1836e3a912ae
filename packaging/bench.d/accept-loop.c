/* The upper bound for hello: a loop that accepts, writes the line and closes. It starts no program, logs nothing and does
   not wait for a client. Usage: accept-loop PORT */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char line[128];
    size_t length = 0;
    time_t second = -1;

    if (argc != 2) {
        fputs("usage: accept-loop PORT\n", stderr);
        return 2;
    }
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, SOMAXCONN)) {
        perror("accept-loop");
        return 1;
    }
    for (;;) {
        int client = accept(listener, NULL, NULL);
        time_t now = time(NULL);
        if (client < 0)
            continue;
        if (now != second) { /* once per second, as hello does */
            length = strftime(line, sizeof line, "Hello World:%a %b %e %H:%M:%S %Z %Y\n", localtime(&now));
            second = now;
        }
        if (send(client, line, length, MSG_NOSIGNAL) < 0)
            perror("accept-loop");
        close(client);
    }
}
