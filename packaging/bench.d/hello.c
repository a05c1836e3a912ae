/* hello at the command line, in C: prints one line with the time, in one write. */
#include <time.h>
#include <unistd.h>

int main(void)
{
    char line[128];
    time_t now = time(NULL);
    size_t length = strftime(line, sizeof line, "Hello World:%a %b %e %H:%M:%S %Z %Y\n", localtime(&now));
    return write(1, line, length) == (ssize_t)length ? 0 : 1;
}
