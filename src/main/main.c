/* otad: arguments and commands. What runs is in daemon.c. */
#include "main/daemon.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/str.h"
#include "http/route.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define OVERRIDES_MAX 64

static void usage(FILE *out)
{
    fputs(
        "otad: a self-hosted over-the-air update server\n"
        "\n"
        "otad [-c FILE] [-d DATA_DIR] [-o key=value]...   run in the foreground, log to stderr\n"
        "otad [...] health                                0 when the running otad is well, else 1\n"
        "otad [...] restore [BACKUP]                      puts a backup back, while no otad runs\n"
        "otad [...] verify [BACKUP]                       reads a backup and says whether it is good\n"
        "                                                 (BACKUP: its folder; without it the newest good "
        "one)\n"
        "otad [...] rekey                                 another key for the secrets at rest, while no otad "
        "runs\n"
        "otad [...] -t                                    check the settings\n"
        "otad -D                                          print every setting, its default and its meaning\n"
        "otad --policy                                    print every key of a campaign's policy\n"
        "otad --routes                                    print every route and the role that it asks for\n"
        "otad --version\n",
        out);
}

/* Asks the running daemon over its socket: what a container's health check needs, without a client. */
static int command_health(const struct settings *s)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 5};
    char answer[64] = "";
    int fd FD_AUTO = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/otad.sock", s->data_dir);
    if (fd < 0 || n >= (int)sizeof address.sun_path ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        fprintf(stderr, "otad does not answer at %s/otad.sock: %s\n", s->data_dir, strerror(errno));
        return 1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
        return 1;
    for (size_t got = 0; got < 15;) {
        ssize_t more = recv(fd, answer + got, 15 - got, 0);
        if (more <= 0)
            return 1;
        got += (size_t)more;
    }
    return strncmp(answer, "HTTP/1.1 200", 12) == 0 ? 0 : 1;
}

static int command_check(const struct settings *s)
{
    (void)s;
    puts("settings are fine");
    return 0;
}

static const struct command {
    const char *name;
    int (*run)(const struct settings *s);
    int (*run_on)(const struct settings *s, const char *operand); /* instead; NULL: none was given */
} commands[] = {
    {"run", daemon_run, NULL},          {"health", command_health, NULL}, {"check", command_check, NULL},
    {"restore", NULL, command_restore}, {"verify", NULL, command_verify}, {"rekey", rekey_run, NULL},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char *argv[])
{
    static const struct option longs[] = {{"version", no_argument, NULL, 'V'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"policy", no_argument, NULL, 'P'},
                                          {"routes", no_argument, NULL, 'R'},
                                          {NULL, 0, NULL, 0}};
    const char *file = NULL, *name = "run", *operand = NULL;
    char *overrides[OVERRIDES_MAX], data_dir[FILE_PATH_SIZE + 16];
    size_t n = 0;
    struct settings settings;
    struct err e;
    int option;
    crypto_lacks_no_memory();
    while ((option = getopt_long(argc, argv, "c:d:o:tDVh", longs, NULL)) != -1) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 'd':
        case 'o':
            if (n == OVERRIDES_MAX) {
                fprintf(stderr, "otad: more than %d settings on the command line\n", OVERRIDES_MAX);
                return EX_USAGE;
            }
            if (option == 'd')
                snprintf(data_dir, sizeof data_dir, "data_dir=%s", optarg);
            overrides[n++] = option == 'd' ? data_dir : optarg;
            break;
        case 't':
            name = "check";
            break;
        case 'D':
            settings_print(stdout);
            return 0;
        case 'P':
            policy_print(stdout);
            return 0;
        case 'R':
            route_print(stdout);
            return 0;
        case 'V':
            puts("otad " OTAD_VERSION);
            return 0;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc)
        name = argv[optind++];
    const struct command *command = find_command(name);
    if (command && command->run_on && optind < argc)
        operand = argv[optind++];
    if (!command || optind < argc) {
        usage(stderr);
        return EX_USAGE;
    }
    if (settings_load(file, overrides, n, &settings, &e) < 0) {
        fprintf(stderr, "otad: %s\n", e.text);
        return EX_CONFIG;
    }
    return command->run_on ? command->run_on(&settings, operand) : command->run(&settings);
}
