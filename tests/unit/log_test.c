/* common/log.c: what arrives at stderr, here a pipe or a terminal. */
#include "common/log.h"
#include "common/bytes.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct log_context context = {.role = "session", .id = 42, .peer = "10.0.0.7"};
static char output[65536];
static int reader = -1;
static int saved_stderr;

static void redirect(int fd)
{
    saved_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static void capture(enum log_level level, enum log_format format, bool timestamps)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    reader = ends[0];
    redirect(ends[1]);
    log_setup(level, format, timestamps);
}

/* What was logged since capture(). */
static const char *captured(void)
{
    size_t len = 0;

    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    for (ssize_t count; (count = read(reader, output + len, sizeof output - 1 - len)) > 0;)
        len += (size_t)count;
    output[len] = '\0';
    close(reader);
    return output;
}

START_TEST(a_line_has_level_context_and_text)
{
    capture(LOG_INFO, LOG_TEXT, false);
    log_info(&context, "%s -> %s", "authenticating", "ready");
    ck_assert_str_eq(captured(), "INFO  session 42 10.0.0.7: authenticating -> ready\n");
}
END_TEST

START_TEST(a_context_may_lack_any_part)
{
    capture(LOG_DEBUG, LOG_TEXT, false);
    log_error(NULL, "a");
    log_warn(&(struct log_context){.role = "http"}, "b");
    log_info(&(struct log_context){.id = 7}, "c");
    log_debug(&(struct log_context){.peer = "::1"}, "d");
    ck_assert_str_eq(captured(), "ERROR a\nWARN  http: b\nINFO  7: c\nDEBUG ::1: d\n");
}
END_TEST

START_TEST(levels_above_the_chosen_one_are_silent)
{
    capture(LOG_WARN, LOG_TEXT, false);
    log_info(NULL, "no");
    log_debug(NULL, "no");
    log_warn(NULL, "yes");
    ck_assert_str_eq(captured(), "WARN  yes\n");
    ck_assert(log_enabled(LOG_ERROR) && log_enabled(LOG_WARN) && !log_enabled(LOG_INFO));
}
END_TEST

START_TEST(a_timestamp_is_iso_8601)
{
    int year, month, day, hour, minute, second, milli, end = 0;

    capture(LOG_INFO, LOG_TEXT, true);
    log_info(NULL, "x");
    sscanf(captured(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ INFO  x\n%n", &year, &month, &day, &hour,
           &minute, &second, &milli, &end);
    ck_assert_int_eq(end, (int)strlen(output));
    ck_assert_int_ge(year, 2020);
}
END_TEST

START_TEST(a_peer_cannot_forge_lines_or_move_the_cursor)
{
    capture(LOG_INFO, LOG_TEXT, false);
    log_info(&(struct log_context){.peer = "a\nb"}, "x\r\nERROR y\t\x1b[2J\x7f\xc2\x9bz\xff\xc3");
    ck_assert_str_eq(captured(), "INFO  a\\nb: "
                                 "x\\r\\nERROR y\\t\\x1b[2J\\x7f\\u009bz\\xff\\xc3\n");
}
END_TEST

START_TEST(text_beyond_ascii_passes)
{
    capture(LOG_INFO, LOG_TEXT, false);
    log_info(NULL, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    ck_assert_str_eq(captured(), "INFO  gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n");
}
END_TEST

START_TEST(json_is_escaped)
{
    capture(LOG_INFO, LOG_JSON, false);
    log_info(&context, "say \"a\\b\"\n\x01\xff\xe2\x82\xac");
    ck_assert_str_eq(captured(), "{\"level\":\"info\",\"role\":\"session\",\"id\":42,"
                                 "\"peer\":\"10.0.0.7\",\"message\":\"say \\\"a\\\\b\\\"\\n\\u0001"
                                 "\\ufffd\xe2\x82\xac\"}\n");
}
END_TEST

START_TEST(json_leaves_out_what_is_not_known)
{
    capture(LOG_INFO, LOG_JSON, true);
    log_warn(NULL, "x");
    ck_assert_ptr_eq(strstr(captured(), "{\"time\":\"2"), output);
    ck_assert_ptr_nonnull(strstr(output, "Z\",\"level\":\"warn\",\"message\":\"x\"}\n"));
}
END_TEST

START_TEST(a_long_text_is_cut_but_still_one_line)
{
    static char text[20000];

    memset(text, _i == LOG_JSON ? '\x01' : 'x', sizeof text - 1);
    capture(LOG_INFO, (enum log_format)_i, false);
    log_info(&context, "%s", text);
    const char *line = captured();
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    ck_assert_ptr_nonnull(strstr(line, "…"));
    ck_assert(_i == LOG_TEXT || strcmp(line + strlen(line) - 3, "\"}\n") == 0);
}
END_TEST

START_TEST(errno_survives)
{
    capture(LOG_INFO, LOG_TEXT, false);
    errno = ENOENT;
    log_info(NULL, "x");
    int after = errno;
    ck_assert_str_eq(captured(), "INFO  x\n");
    ck_assert_int_eq(after, ENOENT);
}
END_TEST

static void *log_many(void *argument)
{
    for (int i = 0; i < 200; i++)
        log_info(&context, "%s", (const char *)argument);
    return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
    static char texts[] = {'a', '\0', 'b', '\0'};
    pthread_t threads[2];
    int lines = 0;

    capture(LOG_INFO, LOG_TEXT, false);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_many, &texts[2 * i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    captured();
    for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++)
        ck_assert(strcmp(line, "INFO  session 42 10.0.0.7: a") == 0 ||
                  strcmp(line, "INFO  session 42 10.0.0.7: b") == 0);
    ck_assert_int_eq(lines, 400);
}
END_TEST

static void log_to_terminal(const char *no_color)
{
    int master, slave;

    if (no_color == NULL)
        unsetenv("NO_COLOR");
    else
        setenv("NO_COLOR", no_color, 1);
    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
    redirect(slave);
    log_setup(LOG_INFO, LOG_TEXT, false);
    log_warn(NULL, "x");
    dup2(saved_stderr, STDERR_FILENO);
    ssize_t count = read(master, output, sizeof output - 1);
    ck_assert_int_gt(count, 0);
    output[count] = '\0';
    close(master);
}

START_TEST(colour_is_for_terminals_that_want_it)
{
    log_to_terminal(NULL);
    ck_assert_str_eq(output, "\033[33mWARN \033[0m x\r\n");
    log_to_terminal("");
    ck_assert_str_eq(output, "\033[33mWARN \033[0m x\r\n");
    log_to_terminal("1");
    ck_assert_str_eq(output, "WARN  x\r\n");
}
END_TEST

SUITE("log", TEST(a_line_has_level_context_and_text), TEST(a_context_may_lack_any_part),
      TEST(levels_above_the_chosen_one_are_silent), TEST(a_timestamp_is_iso_8601),
      TEST(a_peer_cannot_forge_lines_or_move_the_cursor), TEST(text_beyond_ascii_passes),
      TEST(json_is_escaped), TEST(json_leaves_out_what_is_not_known),
      LOOP(a_long_text_is_cut_but_still_one_line, LOG_TEXT, LOG_JSON + 1), TEST(errno_survives),
      TEST(lines_of_threads_do_not_mix), TEST(colour_is_for_terminals_that_want_it))
