/* The kernel's table of mappings says which file lies at the address. Only calls that a signal handler may
 * make. */
#include "cli/bus.h"
#include "base/status.h"
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { LINE_LIMIT = 4352 }; /* a path and the numbers in front of it */

static void say(const char *text, size_t length)
{
    ssize_t ignored = write(STDERR_FILENO, text, length);
    (void)ignored;
}

/* A number in base 16 at *at, advancing it. */
static uintptr_t read_address(const char **at)
{
    uintptr_t value = 0;
    for (;; (*at)++) {
        char c = **at;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return value;
        value = value << 4 | (uintptr_t)digit;
    }
}

/* The path in a line "FROM-TO RIGHTS OFFSET DEVICE INODE   PATH" when `address` lies in it. */
static const char *path_of_line(const char *line, uintptr_t address)
{
    const char *at = line;
    uintptr_t from = read_address(&at);
    if (*at != '-')
        return NULL;
    at++;
    uintptr_t to = read_address(&at);
    return address >= from && address < to ? strchr(at, '/') : NULL;
}

/* Writes the path of the file that is mapped at `address`; false when none is. */
static bool say_path(uintptr_t address)
{
    static char line[LINE_LIMIT];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    char c;
    while (fd >= 0 && read(fd, &c, 1) == 1) {
        if (c != '\n') {
            if (length + 1 < sizeof line)
                line[length++] = c;
            continue;
        }
        line[length] = '\0';
        length = 0;
        const char *path = path_of_line(line, address);
        if (path) {
            say(path, strlen(path));
            return true;
        }
    }
    return false;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    static const char behind[] = " was cut short or cannot be read, while it was in use\n";
    (void)number, (void)context;
    say("error: ", 7);
    if (!say_path((uintptr_t)info->si_addr))
        say("a mapped file", 13);
    say(behind, sizeof behind - 1);
    _exit(status_exit_code(IO));
}

void bus_catch(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
}
