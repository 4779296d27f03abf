/* client/netrc.c */
#include "client/netrc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#define HOST "db.example"

static const struct {
    const char *text;
    bool may_default;
    const char *user; /* NULL: none */
    const char *password;
    const char *problem; /* NULL: none */
} cases[] = {
    {"", true, NULL, NULL, NULL},
    {"machine db.example login me password secret", true, "me", "secret", NULL},
    {"machine db.example\n\tlogin me\r\n  password secret\r\n", true, "me", "secret", NULL},
    {"machine DB.Example password secret login me", true, "me", "secret", NULL},
    {"machine db.example.org login a password b", true, NULL, NULL, NULL},
    {"machine example login a password b", true, NULL, NULL, NULL},
    {"machine other login a password b\nmachine db.example login me password secret\n", true, "me",
     "secret", NULL},
    {"machine db.example login me password secret\nmachine db.example login b password c\n", true,
     "me", "secret", NULL},
    {"machine db.example login me account x password secret\n", true, "me", "secret", NULL},
    {"machine db.example login me\n", true, "me", NULL, NULL},
    {"machine db.example password secret\n", true, NULL, "secret", NULL},
    {"machine db.example\nmachine db.example login me password secret", true, "me", "secret", NULL},
    /* the default */
    {"machine other login a password b\ndefault login me password secret\n", true, "me", "secret",
     NULL},
    {"machine other login a password b\ndefault login me password secret\n", false, NULL, NULL,
     NULL},
    {"default login a password b\nmachine db.example login me password secret\n", true, "me",
     "secret", NULL},
    /* words that are keywords elsewhere */
    {"machine machine login login password password\nmachine db.example login default password "
     "machine\n",
     true, "default", "machine", NULL},
    /* quotes */
    {"machine db.example login \"me too\" password \"a\\\"b\\\\c\\n\\td\\x #\"\n", true, "me too",
     "a\"b\\c\n\tdx #", NULL},
    {"machine \"db.example\" login me password \"\"\n", true, "me", "", NULL},
    {"machine db.example login me password \"secret\n", true, NULL, NULL,
     "line 1: the closing quote is missing"},
    /* comments */
    {"# machine db.example login a password b\n  # indented\nmachine db.example # me\n", true, NULL,
     NULL, "line 3: only machine, default, login, password, account and macdef are known"},
    {"machine db.example login me password #secret\n#end", true, "me", "#secret", NULL},
    /* macros */
    {"macdef init\nmachine db.example login a password b\n\nmachine db.example login me password "
     "secret",
     true, "me", "secret", NULL},
    {"machine other\nmacdef init\r\nlogin a\r\n\r\nmachine db.example login me password secret",
     true, "me", "secret", NULL},
    {"macdef init", true, NULL, NULL, NULL},
    {"macdef init\nmachine db.example login a password b", true, NULL, NULL, NULL},
    /* What stands behind an entry that was found does no harm. */
    {"machine db.example login me password secret\nmachine x\nsecret2", true, "me", "secret", NULL},
    {"machine other login a password b\n\nsecret\n", true, NULL, NULL,
     "line 3: only machine, default, login, password, account and macdef are known"},
};

START_TEST(the_entry_of_the_host_is_found)
{
    struct bytes text = guarded_copy(cases[_i].text, strlen(cases[_i].text));
    struct netrc_login login = {0};
    struct error error = {.message = ""};
    enum status status = netrc_find(text, HOST, cases[_i].may_default, &login, &error);

    ck_assert_int_eq(status, cases[_i].problem == NULL ? STATUS_OK : STATUS_INVALID);
    ck_assert_str_eq(error.message, cases[_i].problem == NULL ? "" : cases[_i].problem);
    ck_assert_pstr_eq(login.user, cases[_i].user);
    ck_assert_pstr_eq(login.password, cases[_i].password);
    netrc_login_clear(&login);
    guarded_free(text);
}
END_TEST

/* Wherever a file is cut, it is read to its end and not beyond. */
START_TEST(every_prefix_is_read)
{
    const char *whole = cases[_i].text;

    for (size_t len = 0; len <= strlen(whole); len++) {
        struct bytes text = guarded_copy(whole, len);
        struct netrc_login login = {0};
        struct error error;

        netrc_find(text, HOST, true, &login, &error);
        netrc_login_clear(&login);
        guarded_free(text);
    }
}
END_TEST

START_TEST(a_zero_byte_is_refused)
{
    struct netrc_login login = {0};
    struct error error;

    ck_assert_int_eq(netrc_find(bytes_of("machine\0", 8), HOST, true, &login, &error),
                     STATUS_INVALID);
    ck_assert_str_eq(error.message, "it holds a zero byte");
}
END_TEST

START_TEST(a_long_line_takes_no_long_time)
{
    size_t size = (size_t)1 << 20;
    char *text = mem_new(size);
    struct netrc_login login = {0};
    struct error error;

    for (size_t i = 0; i + 10 < size; i += 10)
        memcpy(text + i, "account a ", 10);
    ck_assert_int_eq(netrc_find(bytes_of_string(text), HOST, true, &login, &error), STATUS_OK);
    free(text);
}
END_TEST

/* ---- files -------------------------------------------------------------------------------------
 */

static enum status load(const char *path, bool *exposed, struct netrc_login *login)
{
    struct error error;

    return netrc_load(path, HOST, true, login, exposed, &error);
}

START_TEST(a_file_is_read_and_its_mode_looked_at)
{
    static const char text[] = "machine db.example login me password secret\n";
    char path[] = "/tmp/netrc-XXXXXX";
    int fd = mkstemp(path);
    struct netrc_login login;
    bool exposed;

    ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
    ck_assert_int_eq(load(path, &exposed, &login), STATUS_OK);
    ck_assert_str_eq(login.password, "secret");
    ck_assert(!exposed);
    netrc_login_clear(&login);
    ck_assert_int_eq(fchmod(fd, 0640), 0);
    ck_assert_int_eq(load(path, &exposed, &login), STATUS_OK);
    ck_assert(exposed);
    netrc_login_clear(&login);
    close(fd);
    unlink(path);
    ck_assert_int_eq(load(path, &exposed, &login), STATUS_OK);
    ck_assert_ptr_null(login.user);
}
END_TEST

START_TEST(what_is_no_file_is_not_waited_for)
{
    char directory[] = "/tmp/netrc-XXXXXX";
    struct netrc_login login;
    bool exposed;
    char *path;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    path = mem_format("%s/fifo", directory);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(load(path, &exposed, &login), STATUS_INVALID);
    ck_assert_int_eq(load(directory, &exposed, &login), STATUS_INVALID);
    unlink(path);
    rmdir(directory);
    free(path);
}
END_TEST

START_TEST(the_variable_goes_before_the_home)
{
    char *path;

    setenv("HOME", "/home/me", 1);
    setenv("NETRC", "/else/where", 1);
    path = netrc_path();
    ck_assert_str_eq(path, "/else/where");
    free(path);
    unsetenv("NETRC");
    path = netrc_path();
    ck_assert_str_eq(path, "/home/me/.netrc");
    free(path);
    unsetenv("HOME");
    ck_assert_ptr_null(netrc_path());
}
END_TEST

#define CASES (sizeof cases / sizeof cases[0])

SUITE("client_netrc", LOOP(the_entry_of_the_host_is_found, 0, CASES),
      LOOP(every_prefix_is_read, 0, CASES), TEST(a_zero_byte_is_refused),
      TEST(a_long_line_takes_no_long_time), TEST(a_file_is_read_and_its_mode_looked_at),
      TEST(what_is_no_file_is_not_waited_for), TEST(the_variable_goes_before_the_home))
