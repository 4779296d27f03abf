/* electric-proxy: reads its settings and runs the server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/process.h"
#include "server/drop_introspection.h"
#include "server/options.h"
#include "server/server.h"
#include "server/version.h"

static int refuse(char *problems)
{
    for (char *rest = problems, *line; (line = strsep(&rest, "\n")) != NULL;)
        if (*line != '\0')
            fprintf(stderr, "electric-proxy: %s\n", line);
    fprintf(stderr, "electric-proxy: see electric-proxy --help\n");
    free(problems);
    return 2;
}

int main(int argc, char **argv)
{
    struct server_settings settings = {0};
    char *problems = NULL;
    int code;

    mem_setup();
    process_hide_memory();
    if (options_wants(&server_option_table, argc, argv, "help")) {
        options_print_help(&server_option_table, stdout);
        return 0;
    }
    if (options_wants(&server_option_table, argc, argv, "version")) {
        server_print_version(stdout);
        return 0;
    }
    if (options_describe(&server_option_table, argc, argv, stdout))
        return 0;
    if (server_settings_read(argc, argv, &settings, &problems) != STATUS_OK) {
        server_settings_clear(&settings);
        return refuse(problems);
    }
    log_setup((enum log_level)settings.log_level, (enum log_format)settings.log_format, true);
    code = settings.drop_introspection ? drop_introspection(&settings) : server_run(&settings);
    server_settings_clear(&settings);
    return code;
}
