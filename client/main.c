/* electric-tunnel: reads the options and runs the command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <curl/curl.h>
#include <openssl/crypto.h>

#include "client/options.h"
#include "client/serve.h"
#include "common/log.h"
#include "common/memory.h"

static const struct client_command commands[] = {
    {"forward", "listen and forward until stopped (also without a command)", &forward_option_table,
     serve_run},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const struct client_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int print_help(const struct client_command *command)
{
    options_print_help(command->table, stdout);
    if (command == &commands[0]) {
        printf("\nCommands (electric-tunnel COMMAND --help tells more):\n");
        for (size_t i = 0; i < COMMAND_COUNT; i++)
            printf("  %-9s %s\n", commands[i].name, commands[i].help);
    }
    printf("\nProxies are taken from https_proxy, http_proxy, all_proxy and no_proxy.\n"
           "Exit codes: 2 usage, 69 service unreachable, 73 cannot listen, 77 not authorised,\n"
           "130 SIGINT, 143 SIGTERM.\n");
    return 0;
}

static int print_version(void)
{
    printf("electric-tunnel %s\n%s\n%s\n", ELECTRIC_VERSION, curl_version(),
           OpenSSL_version(OPENSSL_VERSION));
    return 0;
}

static int print_markdown(void)
{
    options_print_markdown(&client_option_table, stdout);
    return 0;
}

static int refuse_command(const char *name)
{
    fprintf(stderr, "electric-tunnel: there is no command \"%s\"; there is:", name);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stderr, " %s", commands[i].name);
    fprintf(stderr, "\nelectric-tunnel: see electric-tunnel --help\n");
    return EXIT_USAGE;
}

static int refuse_settings(const struct client_command *command, char *problems)
{
    for (char *rest = problems, *line; (line = strsep(&rest, "\n")) != NULL;)
        if (*line != '\0')
            fprintf(stderr, "electric-tunnel: %s\n", line);
    fprintf(stderr, "electric-tunnel: see electric-tunnel %s --help\n", command->name);
    return EXIT_USAGE;
}

/* A tunnel needs two descriptors a connection; the soft limit is often 1,024. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void set_up_log(const struct client_settings *settings)
{
    enum log_level level = (enum log_level)settings->log_level;

    log_setup(settings->quiet && level > LOG_WARN ? LOG_WARN : level,
              (enum log_format)settings->log_format, true);
}

static int run(const struct client_command *command, int argc, char **argv)
{
    struct client_settings settings = {0};
    char *problems = NULL;
    int code;

    if (client_settings_read(command->table, argc, argv, &settings, &problems) == STATUS_OK) {
        set_up_log(&settings);
        raise_file_limit();
        code = command->run(&settings);
    } else {
        code = refuse_settings(command, problems);
    }
    free(problems);
    client_settings_clear(&settings);
    return code;
}

int main(int argc, char **argv)
{
    const struct client_command *command = &commands[0];

    mem_setup();
    if (argc > 1 && argv[1][0] != '-') {
        command = find_command(argv[1]);
        if (command == NULL)
            return refuse_command(argv[1]);
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    if (options_wants(command->table, argc, argv, "help"))
        return print_help(command);
    if (options_wants(command->table, argc, argv, "version"))
        return print_version();
    if (options_wants(command->table, argc, argv, "options-markdown"))
        return print_markdown();
    return run(command, argc, argv);
}
