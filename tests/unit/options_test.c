/* common/options.c and all that is written from its tables */
#include "common/options.h"
#include "common/memory.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    char *service;
    char *password;
    char *token;
    bool quiet;
    bool use_ipv6;
    unsigned long sessions;
    unsigned port;
    unsigned long timeout;
    size_t window;
    int format;
};

static bool has_no_space(const char *value, struct error *error)
{
    if (strchr(value, ' ') == NULL)
        return true;
    error_set(error, STATUS_INVALID, "22023", "it holds a space");
    return false;
}

static const char *const formats[] = {"text", "json", NULL};

#define FIELD(name) .offset = offsetof(struct settings, name)

static const struct option_spec rows[] = {
    {.flag = "service",
     .letter = 's',
     .variable = "T_SERVICE",
     .fallback = "T_URL",
     .type = OPTION_STRING,
     .preset = "http://localhost:5133",
     FIELD(service),
     .value_name = "URL",
     .help = "service to connect to",
     .check = has_no_space},
    {.variable = "T_PASSWORD",
     .type = OPTION_SECRET,
     .required = true,
     FIELD(password),
     .help = "password clients give",
     .check = has_no_space},
    {.flag = "token-file",
     .variable = "T_TOKEN",
     .type = OPTION_SECRET,
     FIELD(token),
     .help = "bearer token"},
    {.flag = "quiet", .letter = 'q', .type = OPTION_BOOL, FIELD(quiet), .help = "say less"},
    {.flag = "use-ipv6",
     .variable = "T_IPV6",
     .type = OPTION_BOOL,
     .preset = "true",
     FIELD(use_ipv6),
     .help = "listen on both"},
    {.flag = "max-sessions",
     .variable = "T_SESSIONS",
     .type = OPTION_COUNT,
     .preset = "500",
     .min = 1,
     .max = 1000,
     FIELD(sessions),
     .help = "sessions at once"},
    {.flag = "http-port",
     .variable = "T_PORT",
     .type = OPTION_PORT,
     .preset = "5133",
     FIELD(port),
     .help = "port that accepts upgrade requests"},
    {.flag = "timeout",
     .variable = "T_TIMEOUT",
     .type = OPTION_SECONDS,
     .preset = "10s",
     FIELD(timeout),
     .help = "how long to wait"},
    {.flag = "window",
     .variable = "T_WINDOW",
     .type = OPTION_SIZE,
     .preset = "4MiB",
     FIELD(window),
     .help = "bytes | in flight"},
    {.flag = "log-format",
     .variable = "T_FORMAT",
     .type = OPTION_CHOICE,
     .preset = "text",
     .choices = formats,
     FIELD(format),
     .help = "form of the log"},
    {0},
};

static const struct option_table table = {
    .program = "test",
    .synopsis = "    test [options]",
    .description = "A test.",
    .examples = "    test -q",
    .rows = rows,
};

static struct settings settings;
static int positional;
static char *problems;

#define ARGUMENTS_MAX 16

/* Reads the arguments, up to a NULL, with what the test has put into the environment. */
static enum status read_all(const struct option_table *of, const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX + 1] = {NULL};
    int argc = 1;

    options_clear(of, &settings);
    memset(&settings, 0, sizeof settings);
    free(problems);
    argv[0] = (char *)(uintptr_t) "test";
    for (; arguments[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
    return options_read(of, argc, argv, &settings, &positional, &problems);
}

#define READ_FOR(of, ...) read_all((of), (const char *const[]){__VA_ARGS__, NULL})
#define READ(...) read_all(&table, (const char *const[]){__VA_ARGS__, NULL})
#define READ_NONE() read_all(&table, (const char *const[]){NULL})

static void expect_problem(const char *text)
{
    ck_assert_ptr_nonnull(problems);
    ck_assert_str_eq(problems, text);
}

/* Gives the one required value, so that a test sees only its own problem. */
static void set_up(void)
{
    for (const struct option_spec *row = rows; row->help != NULL; row++)
        if (row->variable != NULL)
            unsetenv(row->variable);
    unsetenv("T_PASSWORD_FILE");
    unsetenv("T_TOKEN_FILE");
    setenv("T_PASSWORD", "secret", 1);
}

static const char *write_file(const char *content, size_t len)
{
    static char path[64];

    strcpy(path, "/tmp/options_test.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, len), (ssize_t)len);
    close(fd);
    return path;
}

START_TEST(defaults_apply_when_nothing_is_given)
{
    set_up();
    ck_assert_int_eq(READ_NONE(), STATUS_OK);
    ck_assert_ptr_null(problems);
    ck_assert_str_eq(settings.service, "http://localhost:5133");
    ck_assert_str_eq(settings.password, "secret");
    ck_assert_ptr_null(settings.token);
    ck_assert(!settings.quiet && settings.use_ipv6);
    ck_assert_uint_eq(settings.sessions, 500);
    ck_assert_uint_eq(settings.port, 5133);
    ck_assert_uint_eq(settings.timeout, 10000);
    ck_assert_uint_eq(settings.window, 4 << 20);
    ck_assert_int_eq(settings.format, 0);
    ck_assert_int_eq(positional, 1);
    options_clear(&table, &settings);
    ck_assert_ptr_null(settings.service);
}
END_TEST

START_TEST(a_flag_comes_before_the_environment_and_that_before_the_default)
{
    set_up();
    setenv("T_PORT", "1000", 1);
    ck_assert_int_eq(READ_NONE(), STATUS_OK);
    ck_assert_uint_eq(settings.port, 1000);
    ck_assert_str_eq(options_source(&table, "http-port"), "environment");
    ck_assert_int_eq(READ("--http-port=2000"), STATUS_OK);
    ck_assert_uint_eq(settings.port, 2000);
    ck_assert_str_eq(options_source(&table, "T_PORT"), "flag");
    ck_assert_str_eq(options_source(&table, "service"), "default");
    ck_assert_str_eq(options_source(&table, "nothing"), "default");
}
END_TEST

START_TEST(the_second_variable_is_asked_when_the_first_is_unset_or_empty)
{
    set_up();
    setenv("T_URL", "http://second", 1);
    setenv("T_SERVICE", "", 1);
    ck_assert_int_eq(READ_NONE(), STATUS_OK);
    ck_assert_str_eq(settings.service, "http://second");
    setenv("T_SERVICE", "http://first", 1);
    ck_assert_int_eq(READ_NONE(), STATUS_OK);
    ck_assert_str_eq(settings.service, "http://first");
    unsetenv("T_URL");
}
END_TEST

START_TEST(a_value_stands_behind_its_flag_in_any_form) /* _i: which form */
{
    static const char *const forms[][3] = {
        {"--service=u", NULL}, {"--service", "u", NULL}, {"-su", NULL}, {"-s", "u", NULL}};

    set_up();
    ck_assert_int_eq(read_all(&table, forms[_i]), STATUS_OK);
    ck_assert_str_eq(settings.service, "u");
}
END_TEST

START_TEST(the_last_of_two_flags_counts)
{
    set_up();
    ck_assert_int_eq(READ("-sa", "--service=b", "-q", "--quiet=false"), STATUS_OK);
    ck_assert_str_eq(settings.service, "b");
    ck_assert(!settings.quiet);
}
END_TEST

START_TEST(options_end_at_the_first_other_argument)
{
    set_up();
    ck_assert_int_eq(READ("-q", "exec", "--unknown"), STATUS_OK);
    ck_assert_int_eq(positional, 2);
    ck_assert_int_eq(READ("-q", "--", "--unknown"), STATUS_OK);
    ck_assert_int_eq(positional, 3);
    ck_assert_int_eq(READ("-q"), STATUS_OK);
    ck_assert_int_eq(positional, 2);
    ck_assert_int_eq(READ("-q", "-"), STATUS_OK);
    ck_assert_int_eq(positional, 2);
}
END_TEST

START_TEST(all_problems_are_listed_at_once)
{
    set_up();
    unsetenv("T_PASSWORD");
    setenv("T_SESSIONS", "0", 1);
    setenv("T_TIMEOUT", "soon", 1);
    setenv("T_WINDOW", "4 apples", 1);
    setenv("T_IPV6", "perhaps", 1);
    ck_assert_int_eq(READ("--http-port", "99999", "--log-format=xml", "--servce=x"), STATUS_USAGE);
    expect_problem("--http-port: \"99999\" is not a port (0 to 65535)\n"
                   "--log-format: \"xml\" is not one of text, json\n"
                   "unknown option --servce (did you mean --service?)\n"
                   "T_PASSWORD is required\n"
                   "T_IPV6: \"perhaps\" is not true or false\n"
                   "T_SESSIONS: \"0\" is not a number from 1 to 1000\n"
                   "T_TIMEOUT: \"soon\" is not a duration (10s, 500ms, 2m, 1h or off)\n"
                   "T_WINDOW: \"4 apples\" is not a size (4194304, 256kB, 4MiB)\n");
}
END_TEST

START_TEST(numbers_are_only_digits_and_in_range)
{
    static const char *const bad[] = {"-1",  "+1",  " 1", "1 ",   "0x10",
                                      "1e3", "1.0", "٣",  "1001", "99999999999999999999999"};

    set_up();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(READ("--max-sessions", bad[i]), STATUS_USAGE);
        ck_assert_int_eq(READ("--http-port=-1"), STATUS_USAGE);
    }
    ck_assert_int_eq(READ("--max-sessions=1000", "--http-port=0"), STATUS_OK);
    ck_assert_uint_eq(settings.sessions, 1000);
    ck_assert_uint_eq(settings.port, 0);
}
END_TEST

START_TEST(durations_are_kept_in_milliseconds)
{
    static const struct {
        const char *text;
        unsigned long value;
    } good[] = {{"10", 10000},   {"10s", 10000}, {"500ms", 500}, {"2m", 120000},
                {"1h", 3600000}, {"off", 0},     {"OFF", 0},     {"0", 0}};
    static const char *const bad[] = {
        "s", "10 s", "10d", "1.5s", "-1s", "99999999999999999999s", "18446744073709551615h", "of"};

    set_up();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_int_eq(READ("--timeout", good[i].text), STATUS_OK);
        ck_assert_uint_eq(settings.timeout, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(READ("--timeout", bad[i]), STATUS_USAGE);
}
END_TEST

START_TEST(sizes_have_units)
{
    static const struct {
        const char *text;
        size_t value;
    } good[] = {{"4194304", 4194304}, {"1B", 1},        {"256kB", 256000},    {"256KiB", 262144},
                {"4MiB", 4194304},    {"1MB", 1000000}, {"1gib", 1073741824}, {"1GB", 1000000000}};
    static const char *const bad[] = {"MiB", "4M", "-4MiB", "4 MiB", "18446744073709551615kB", ""};

    set_up();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_int_eq(READ("--window", good[i].text), STATUS_OK);
        ck_assert_uint_eq(settings.window, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(READ("--window", bad[i]), STATUS_USAGE);
}
END_TEST

START_TEST(truth_has_four_spellings)
{
    static const char *const words[] = {"false", "TRUE", "no", "Yes", "off", "on", "0", "1"};

    set_up();
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        setenv("T_IPV6", words[i], 1);
        ck_assert_int_eq(READ_NONE(), STATUS_OK);
        ck_assert_int_eq(settings.use_ipv6, i % 2 == 1);
    }
    ck_assert_int_eq(READ("--quiet", "true"), STATUS_OK); /* "true" is no value here */
    ck_assert_int_eq(positional, 2);
}
END_TEST

START_TEST(a_flag_needs_its_value)
{
    set_up();
    ck_assert_int_eq(READ("--service"), STATUS_USAGE);
    expect_problem("--service needs a value\n");
    ck_assert_int_eq(READ("-s", ""), STATUS_USAGE);
    expect_problem("-s needs a value\n");
    ck_assert_int_eq(READ("--quiet="), STATUS_USAGE);
    expect_problem("--quiet needs a value\n");
}
END_TEST

START_TEST(unknown_options_get_a_guess_only_when_it_is_near)
{
    set_up();
    ck_assert_int_eq(READ("--htttp-port=1"), STATUS_USAGE);
    expect_problem("unknown option --htttp-port (did you mean --http-port?)\n");
    ck_assert_int_eq(READ("--banana"), STATUS_USAGE);
    expect_problem("unknown option --banana\n");
    ck_assert_int_eq(READ("-x"), STATUS_USAGE);
    expect_problem("unknown option -x\n");
    /* A value may be a secret; only the name is repeated. */
    ck_assert_int_eq(READ("--password=hush"), STATUS_USAGE);
    expect_problem("unknown option --password\n");
}
END_TEST

START_TEST(a_check_describes_what_is_wrong)
{
    set_up();
    ck_assert_int_eq(READ("--service", "a b"), STATUS_USAGE);
    expect_problem("--service: it holds a space\n");
}
END_TEST

START_TEST(a_secret_is_never_quoted)
{
    set_up();
    setenv("T_PASSWORD", "hush hush", 1);
    ck_assert_int_eq(READ_NONE(), STATUS_USAGE);
    expect_problem("T_PASSWORD: it holds a space\n");
}
END_TEST

START_TEST(a_secret_comes_from_a_file_without_its_newline) /* _i: which content */
{
    static const struct {
        const char *content, *value;
    } cases[] = {{"pw", "pw"},       {"pw\n", "pw"},   {"pw\r\n", "pw"},
                 {"pw\n\n", "pw\n"}, {"pw\r", "pw\r"}, {"\npw", "\npw"}};

    set_up();
    unsetenv("T_PASSWORD");
    const char *path = write_file(cases[_i].content, strlen(cases[_i].content));
    setenv("T_PASSWORD_FILE", path, 1);
    ck_assert_int_eq(READ_NONE(), STATUS_OK);
    ck_assert_str_eq(settings.password, cases[_i].value);
    ck_assert_str_eq(options_source(&table, "T_PASSWORD"), "environment");
    ck_assert_int_eq(READ("--token-file", path), STATUS_OK);
    ck_assert_str_eq(settings.token, cases[_i].value);
    unlink(path);
}
END_TEST

START_TEST(a_secret_given_twice_is_a_problem)
{
    set_up();
    setenv("T_PASSWORD_FILE", "/dev/null", 1);
    ck_assert_int_eq(READ_NONE(), STATUS_USAGE);
    expect_problem("T_PASSWORD and T_PASSWORD_FILE are both set; keep one\n");
}
END_TEST

START_TEST(a_file_that_gives_no_secret_is_named)
{
    static char big[70000];
    char text[256];

    set_up();
    unsetenv("T_PASSWORD");
    setenv("T_PASSWORD_FILE", "/nonexistent/pw", 1);
    ck_assert_int_eq(READ_NONE(), STATUS_USAGE);
    expect_problem("T_PASSWORD_FILE: could not read \"/nonexistent/pw\": "
                   "No such file or directory\n");
    setenv("T_PASSWORD_FILE", "/tmp", 1);
    ck_assert_int_eq(READ_NONE(), STATUS_USAGE);
    expect_problem("T_PASSWORD_FILE: could not read \"/tmp\": Is a directory\n");
    setenv("T_PASSWORD_FILE", "/dev/null", 1);
    ck_assert_int_eq(READ_NONE(), STATUS_USAGE);
    expect_problem("T_PASSWORD_FILE: \"/dev/null\" is empty\n");

    memset(big, 'x', sizeof big);
    const char *path = write_file(big, sizeof big);
    setenv("T_PASSWORD_FILE", path, 1);
    ck_assert_int_eq(READ_NONE(), STATUS_USAGE);
    snprintf(text, sizeof text, "T_PASSWORD_FILE: \"%s\" is longer than 65536 bytes\n", path);
    expect_problem(text);
    unlink(path);

    path = write_file("a\0b", 3);
    setenv("T_PASSWORD_FILE", path, 1);
    ck_assert_int_eq(READ_NONE(), STATUS_USAGE);
    snprintf(text, sizeof text, "T_PASSWORD_FILE: \"%s\" holds a zero byte\n", path);
    expect_problem(text);
    unlink(path);
}
END_TEST

static bool wants(const char *flag, const char *first, const char *second)
{
    char *argv[] = {(char *)(uintptr_t) "test", (char *)(uintptr_t)first, (char *)(uintptr_t)second,
                    NULL};

    return options_wants(&table, second == NULL ? 2 : 3, argv, flag);
}

START_TEST(help_and_version_are_seen_before_values_are_judged)
{
    set_up();
    ck_assert(wants("help", "--help", NULL));
    ck_assert(wants("help", "-h", NULL));
    ck_assert(wants("version", "--version", NULL));
    ck_assert(wants("version", "-V", NULL));
    ck_assert(wants("help", "--http-port=x", "--help"));
    ck_assert(!wants("help", "--version", NULL));
    ck_assert(!wants("help", "--service", "--help")); /* it is the value */
    ck_assert(!wants("help", "--", "--help"));
    ck_assert(!wants("help", "exec", "--help"));
    ck_assert_int_eq(READ("--help", "-V"), STATUS_OK);
}
END_TEST

static char *printed(const struct option_table *of,
                     void (*print)(const struct option_table *, FILE *))
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    print(of, out);
    fclose(out);
    return text;
}

START_TEST(help_tells_of_every_row)
{
    char *text = printed(&table, options_print_help);

    for (const struct option_spec *row = rows; row->help != NULL; row++) {
        if (row->flag != NULL)
            ck_assert_ptr_nonnull(strstr(text, row->flag));
        if (row->variable != NULL)
            ck_assert_ptr_nonnull(strstr(text, row->variable));
    }
    ck_assert_ptr_nonnull(strstr(text, "Usage:\n    test [options]\n"));
    ck_assert_ptr_nonnull(strstr(text, "  -s, --service URL           service to connect to ["));
    ck_assert_ptr_nonnull(strstr(text, "--log-format text|json"));
    ck_assert_ptr_nonnull(strstr(text, "default: 4MiB]"));
    ck_assert_ptr_nonnull(strstr(text, "-h, --help"));
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        ck_assert_uint_le(strlen(line), 80);
    free(text);
}
END_TEST

START_TEST(markdown_has_one_line_a_row)
{
    char *text = printed(&table, options_print_markdown);
    size_t lines = 0;

    for (const char *c = text; *c != '\0'; c++)
        lines += *c == '\n';
    ck_assert_uint_eq(lines, 2 + sizeof rows / sizeof rows[0] - 1);
    ck_assert_ptr_nonnull(strstr(text, "| `--service URL`, `-s` | `T_SERVICE`, else `T_URL` | "
                                       "`http://localhost:5133` | service to connect to |\n"));
    ck_assert_ptr_nonnull(strstr(text, "|  | `T_PASSWORD` or `T_PASSWORD_FILE` | required | "));
    ck_assert_ptr_nonnull(strstr(text, "`--log-format text\\|json`"));
    ck_assert_ptr_nonnull(strstr(text, "bytes \\| in flight"));
    free(text);
}
END_TEST

/* Two commands; both have a port, each with a default of its own. */
static const struct option_command commands[] = {
    {.name = "serve", .help = "serves on"},
    {.name = "once", .help = "serves | once", .runs_another = true},
    {.name = NULL},
};

static const struct option_spec command_rows[] = {
    {.flag = "service", .type = OPTION_STRING, FIELD(service), .help = "service to connect to"},
    {.flag = "http-port",
     .type = OPTION_PORT,
     .preset = "5133",
     FIELD(port),
     .commands = 1,
     .help = "port to keep"},
    {.flag = "http-port",
     .type = OPTION_PORT,
     .preset = "0",
     FIELD(port),
     .commands = 2,
     .help = "port for a while"},
    {.flag = "quiet",
     .letter = 'q',
     .variable = "T_QUIET",
     .type = OPTION_BOOL,
     FIELD(quiet),
     .commands = 1,
     .help = "say less"},
    {0},
};

static const struct option_table serve_table = {
    .program = "test", .rows = command_rows, .command = 1, .commands = commands};
static const struct option_table once_table = {
    .program = "test", .rows = command_rows, .command = 2, .commands = commands};
static const struct option_table all_table = {
    .program = "test", .rows = command_rows, .commands = commands};

START_TEST(a_command_has_its_own_rows)
{
    setenv("T_QUIET", "true", 1);
    ck_assert_int_eq(READ_FOR(&once_table, "--service", "x"), STATUS_OK);
    ck_assert_str_eq(settings.service, "x");
    ck_assert_uint_eq(settings.port, 0);
    ck_assert(!settings.quiet);
    ck_assert_int_eq(READ_FOR(&serve_table, "--service", "y"), STATUS_OK);
    ck_assert_str_eq(settings.service, "y");
    ck_assert_uint_eq(settings.port, 5133);
    ck_assert(settings.quiet);
    unsetenv("T_QUIET");
    ck_assert_int_eq(READ_FOR(&once_table, "--http-port=7"), STATUS_OK);
    ck_assert_uint_eq(settings.port, 7);
    ck_assert_str_eq(options_source(&once_table, "http-port"), "flag");
}
END_TEST

START_TEST(another_command_s_option_is_said_to_be_its)
{
    ck_assert_int_eq(READ_FOR(&once_table, "--quiet", "-q"), STATUS_USAGE);
    expect_problem("--quiet is an option of the command serve\n"
                   "unknown option -q\n");
}
END_TEST

START_TEST(help_is_a_command_s_own_and_markdown_has_all)
{
    char *help = printed(&once_table, options_print_help);
    char *markdown = printed(&all_table, options_print_markdown);

    ck_assert_ptr_nonnull(strstr(help, "port for a while"));
    ck_assert_ptr_null(strstr(help, "port to keep"));
    ck_assert_ptr_null(strstr(help, "--quiet"));
    ck_assert_ptr_nonnull(strstr(markdown, "| `5133` | `serve`: port to keep |"));
    ck_assert_ptr_nonnull(strstr(markdown, "| `0` | `once`: port for a while |"));
    ck_assert_ptr_nonnull(strstr(markdown, "|  | service to connect to |"));
    free(help);
    free(markdown);
}
END_TEST

/* Texts hold what roff and shells take for their own. */
static const struct option_spec special_rows[] = {
    {.flag = "all", .type = OPTION_BOOL, .help = "don't [stop]: go on\\"},
    {.flag = "keep", .type = OPTION_STRING, .value_name = "FILE", .commands = 1, .help = ".x"},
    {.flag = "form", .type = OPTION_CHOICE, .choices = formats, .commands = 2, .help = "y"},
    {0},
};

static const struct option_table special_table = {
    .program = "a-test",
    .section = 1,
    .summary = "a summary",
    .synopsis = "  a-test 'x'\n",
    .description = "'quoted' text.",
    .rows = special_rows,
    .commands = commands,
};

/* Owned by the caller; NULL when it is none of those arguments. */
static char *described(const char *first, const char *second)
{
    char *arguments[] = {mem_copy_string("a-test"), mem_copy_string(first),
                         second == NULL ? NULL : mem_copy_string(second), NULL};
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool done = options_describe(&special_table, second == NULL ? 2 : 3, arguments, out);

    fclose(out);
    ck_assert_int_eq(done, size > 0);
    for (size_t i = 0; i < 3; i++)
        free(arguments[i]);
    if (done)
        return text;
    free(text);
    return NULL;
}

START_TEST(a_manual_page_escapes_what_roff_takes_for_its_own)
{
    char *text = described("--options-man", NULL);

    ck_assert_ptr_nonnull(strstr(text, "\n\\(aqquoted\\(aq text.\n"));
    ck_assert_ptr_nonnull(strstr(text, "\ndon\\(aqt [stop]: go on\\e\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n\\fB\\-\\-keep\\fR \\fIFILE\\fR\nserve: \\&.x\n"));
    ck_assert_ptr_nonnull(strstr(text, "\na\\-test \\(aqx\\(aq\n"));
    free(text);
}
END_TEST

START_TEST(completions_offer_a_command_its_own_options)
{
    char *bash = described("--completion", "bash");
    char *zsh = described("--completion", "zsh");
    char *fish = described("--completion", "fish");

    ck_assert_ptr_nonnull(strstr(bash, "serve) words='--all --keep --help --version' ;;"));
    ck_assert_ptr_nonnull(strstr(bash, "once) words='--all --form --help --version' ;;"));
    ck_assert_ptr_nonnull(strstr(bash, "*) words='--all --keep --help --version' ;;"));
    ck_assert_ptr_nonnull(strstr(zsh, "'--all[don'\\''t \\[stop\\]\\: go on\\\\]'"));
    ck_assert_ptr_nonnull(strstr(zsh, "'--form=[y]:form:(text json)'"));
    ck_assert_ptr_nonnull(strstr(fish, "-n '__fish_seen_subcommand_from once' -l form -x"));
    ck_assert_ptr_nonnull(strstr(fish, "or not __fish_seen_subcommand_from serve once' -l keep"));
    ck_assert_ptr_nonnull(strstr(fish, "-d 'don\\'t [stop]: go on\\\\'"));
    ck_assert_ptr_null(described("--completion", "tcsh"));
    ck_assert_ptr_null(described("--all", NULL));
    free(bash);
    free(zsh);
    free(fish);
}
END_TEST

SUITE("options", TEST(defaults_apply_when_nothing_is_given),
      TEST(a_flag_comes_before_the_environment_and_that_before_the_default),
      TEST(the_second_variable_is_asked_when_the_first_is_unset_or_empty),
      LOOP(a_value_stands_behind_its_flag_in_any_form, 0, 4), TEST(the_last_of_two_flags_counts),
      TEST(options_end_at_the_first_other_argument), TEST(all_problems_are_listed_at_once),
      TEST(numbers_are_only_digits_and_in_range), TEST(durations_are_kept_in_milliseconds),
      TEST(sizes_have_units), TEST(truth_has_four_spellings), TEST(a_flag_needs_its_value),
      TEST(unknown_options_get_a_guess_only_when_it_is_near), TEST(a_check_describes_what_is_wrong),
      TEST(a_secret_is_never_quoted), LOOP(a_secret_comes_from_a_file_without_its_newline, 0, 6),
      TEST(a_secret_given_twice_is_a_problem), TEST(a_file_that_gives_no_secret_is_named),
      TEST(help_and_version_are_seen_before_values_are_judged), TEST(help_tells_of_every_row),
      TEST(markdown_has_one_line_a_row), TEST(a_command_has_its_own_rows),
      TEST(another_command_s_option_is_said_to_be_its),
      TEST(help_is_a_command_s_own_and_markdown_has_all),
      TEST(a_manual_page_escapes_what_roff_takes_for_its_own),
      TEST(completions_offer_a_command_its_own_options))
