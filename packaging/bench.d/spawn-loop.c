/* The upper bound for a program for each connection: accepts, starts the program on the connection, and waits for it.
   Logs, watches and limits nothing. Usage: spawn-loop PORT PROCESSES PROGRAM */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void serve(int listener, char *program)
{
    char *arguments[] = {program, NULL};

    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), error;
        posix_spawn_file_actions_t actions;
        pid_t pid;

        if (client < 0)
            continue;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, client, 0);
        posix_spawn_file_actions_adddup2(&actions, client, 1);
        error = posix_spawn(&pid, program, &actions, NULL, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
        close(client);
        if (error)
            fprintf(stderr, "spawn-loop: %s\n", strerror(error));
        else
            waitpid(pid, NULL, 0);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (argc != 4) {
        fputs("usage: spawn-loop PORT PROCESSES PROGRAM\n", stderr);
        return 2;
    }
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, SOMAXCONN)) {
        perror("spawn-loop");
        return 1;
    }
    for (int others = atoi(argv[2]) - 1; others > 0; others--)
        if (fork() == 0)
            break;
    serve(listener, argv[3]);
}
