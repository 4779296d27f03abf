/* electric-tunnel: reads the options and runs the command. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/exec.h"
#include "client/check.h"
#include "client/options.h"
#include "client/serve.h"
#include "client/version.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/process.h"

static const struct client_command commands[] = {
    {"forward", serve_run},
    {"exec", exec_run},
    {"check", check_run},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const struct client_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* The same command in the option table. */
static const struct option_table *table_of(const struct client_command *command)
{
    return client_option_table.commands[command - commands].table;
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

/* Whoever closed one of these did not mean that a socket of ours shall take its number, and our
 * messages. */
static void open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Whoever has read enough, as head(1) does, closes the pipe. */
static bool reader_has_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

/* A report that ended up on a full disk was not given. */
static int finish(int code)
{
    if ((fflush(stdout) == 0 && ferror(stdout) == 0) || reader_has_left())
        return code;
    fprintf(stderr, "electric-tunnel: could not write to standard output; is the disk full?\n");
    return EXIT_CANNOT_WRITE;
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

    if (client_settings_read(table_of(command), argc, argv, &settings, &problems) == STATUS_OK) {
        set_up_log(&settings);
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
    process_hide_memory();
    open_standard_descriptors();
    if (argc > 1 && argv[1][0] != '-') {
        command = find_command(argv[1]);
        if (command == NULL)
            return refuse_command(argv[1]);
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    if (options_wants(table_of(command), argc, argv, "help")) {
        options_print_help(table_of(command), stdout);
        return finish(0);
    }
    if (options_wants(table_of(command), argc, argv, "version")) {
        client_print_version(stdout);
        return finish(0);
    }
    if (options_describe(&client_option_table, argc, argv, stdout))
        return finish(0);
    return finish(run(command, argc, argv));
}
