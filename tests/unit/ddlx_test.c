/* DDLX: each command as a call, and what is wrong with malformed ones. */
#include "server/ddlx/ddlx.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [DDLX_NONE] = "none",     [DDLX_ENABLE] = "enable",     [DDLX_DISABLE] = "disable",
    [DDLX_GRANT] = "grant",   [DDLX_REVOKE] = "revoke",     [DDLX_ASSIGN] = "assign",
    [DDLX_SQLITE] = "sqlite", [DDLX_UNASSIGN] = "unassign", [DDLX_MISTAKE] = "mistake",
};

static struct ddlx_mistake mistake;

/* Translates the only statement of `sql`; `call` is a string afterwards. */
static enum ddlx_kind translate(struct bytes sql, bool standard_conforming_strings,
                                struct buffer *call)
{
    struct scan_statement statement;
    struct scanner scanner;
    enum ddlx_kind kind;

    scanner_init(&scanner, sql, standard_conforming_strings);
    if (!scanner_next_statement(&scanner, &statement))
        return DDLX_NONE;
    mistake = (struct ddlx_mistake){.hint = NULL};
    kind = ddlx_translate(&scanner, &statement, call, &mistake);
    ck_assert_uint_le(buffer_len(call), (statement.end - statement.start) * DDLX_GROWTH);
    ck_assert(!buffer_failed(call));
    if (kind == DDLX_NONE || kind == DDLX_MISTAKE)
        ck_assert_uint_eq(buffer_len(call), 0);
    return kind;
}

static void check_call(const char *sql, bool standard_conforming_strings, const char *expected)
{
    struct bytes text = guarded_copy(sql, strlen(sql));
    struct buffer call;
    enum ddlx_kind kind;

    buffer_init(&call, 1 << 20);
    kind = translate(text, standard_conforming_strings, &call);
    ck_assert_msg(kind != DDLX_NONE && kind != DDLX_MISTAKE, "%s is %s, at %zu: %s", sql,
                  kind_names[kind], mistake.start, mistake.hint);
    buffer_append_u8(&call, '\0');
    ck_assert_str_eq((const char *)buffer_peek(&call).data, expected);
    buffer_clear(&call);
    guarded_free(text);
}

/* Between the quotes of the call. */
#define GRANT(json) "CALL electric.grant_privileges(E'" json "'::pg_catalog.jsonb)"
#define REVOKE(json) "CALL electric.revoke_privileges(E'" json "'::pg_catalog.jsonb)"
#define ASSIGN(json) "CALL electric.assign_role(E'" json "'::pg_catalog.jsonb)"
#define UNASSIGN(json) "CALL electric.unassign_role(E'" json "'::pg_catalog.jsonb)"

/* A grant to test one part of. */
#define ON_T_TO_R "\"tables\":[\"t\"],\"roles\":[{\"name\":\"r\"}]"
#define READ_ON_T "{\"privileges\":[{\"name\":\"read\"}],\"tables\":[\"t\"]"

static const struct {
    const char *sql;
    const char *expected;
} calls[] = {
    /* tables */
    {"ALTER TABLE items ENABLE ELECTRIC", "CALL electric.enable(E'items')"},
    {"alter table Items disable electric;", "CALL electric.disable(E'Items')"},
    {"ALTER TABLE IF EXISTS ONLY public.items ENABLE ELECTRIC",
     "CALL electric.enable(E'public.items', true)"},
    {"ALTER TABLE \"Private\".\"Items\" DISABLE ELECTRIC",
     "CALL electric.disable(E'\"Private\".\"Items\"')"},
    {"ELECTRIC ENABLE things", "CALL electric.enable(E'things')"},
    {"electric Disable db.public.\"a\"\"b'c\\\"",
     "CALL electric.disable(E'db.public.\"a\"\"b''c\\\\\"')"},
    {"ALTER TABLE /* a /* b */ */ public -- c\n . items ENABLE ELECTRIC -- d",
     "CALL electric.enable(E'public.items')"},
    {"ALTER TABLE thing.K\xc3\xb6ln_en$ts ENABLE ELECTRIC",
     "CALL electric.enable(E'thing.K\xc3\xb6ln_en$ts')"},
    {"ALTER TABLE u&\"K\\00f6\"\"ln \\+01f600\\0022\" ENABLE ELECTRIC",
     "CALL electric.enable(E'\"K\\u00f6\"\"ln \\U0001f600\"\"\"')"},
    {"ELECTRIC ENABLE U&\"d!0061t\\a!!\" UESCAPE '!'", "CALL electric.enable(E'\"dat\\\\a!\"')"},
    {"ALTER TABLE read ENABLE ELECTRIC", "CALL electric.enable(E'read')"},
    {"ALTER TABLE \"read\" ENABLE ELECTRIC", "CALL electric.enable(E'\"read\"')"},
    {"ALTER TABLE check ENABLE ELECTRIC", "CALL electric.enable(E'check')"},
    {"ALTER TABLE is.not ENABLE ELECTRIC", "CALL electric.enable(E'is.not')"},
    {"ALTER TABLE if ENABLE ELECTRIC", "CALL electric.enable(E'if')"},
    {"ALTER TABLE enable ENABLE ELECTRIC", "CALL electric.enable(E'enable')"},
    {"ALTER TABLE electric ENABLE ELECTRIC", "CALL electric.enable(E'electric')"},
    {"ELECTRIC ENABLE uescape", "CALL electric.enable(E'uescape')"},

    /* privileges */
    {"ELECTRIC GRANT SELECT ON t TO 'r'",
     GRANT("{\"privileges\":[{\"name\":\"select\"}]," ON_T_TO_R "}")},
    {"ELECTRIC GRANT ALL ON t TO 'r'",
     GRANT("{\"privileges\":[{\"name\":\"all\"}]," ON_T_TO_R "}")},
    {"ELECTRIC GRANT ALL PRIVILEGES ON TABLE t TO 'r'",
     GRANT("{\"privileges\":[{\"name\":\"all\"}]," ON_T_TO_R "}")},
    {"electric grant insert, Update, DELETE, read, write on t to 'r'",
     GRANT("{\"privileges\":[{\"name\":\"insert\"},{\"name\":\"update\"},{\"name\":\"delete\"},"
           "{\"name\":\"read\"},{\"name\":\"write\"}]," ON_T_TO_R "}")},
    {"ELECTRIC GRANT SELECT, UPDATE (Status, \"na\"\"me\", U&\"\\006b\"), ALL (a) ON t TO 'r'",
     GRANT("{\"privileges\":[{\"name\":\"select\"},{\"name\":\"update\",\"columns\":[\"Status\","
           "\"\\\\\"na\\\\\"\\\\\"me\\\\\"\",\"\\\\\"k\\\\\"\"]},"
           "{\"name\":\"all\",\"columns\":[\"a\"]}]," ON_T_TO_R "}")},
    {"ELECTRIC GRANT READ ON t, thing.\"K\xc3\xb6ln'en$ts\", table TO 'r'",
     GRANT("{\"privileges\":[{\"name\":\"read\"}],\"tables\":[\"t\",\"thing.\\\\\"K\xc3\xb6ln''en$"
           "ts\\\\\"\",\"table\"],\"roles\":[{\"name\":\"r\"}]}")},
    {"ELECTRIC REVOKE UPDATE (status, name) ON t FROM 'thing.projects:house.admin', 'r'",
     REVOKE("{\"privileges\":[{\"name\":\"update\",\"columns\":[\"status\",\"name\"]}],"
            "\"tables\":[\"t\"],\"roles\":[{\"scope\":\"thing.projects\",\"name\":\"house.admin\"},"
            "{\"name\":\"r\"}]}")},

    /* roles */
    {"ELECTRIC GRANT READ ON t TO ANYONE, Authenticated",
     GRANT(READ_ON_T ",\"roles\":[{\"special\":\"anyone\"},{\"special\":\"authenticated\"}]}")},
    {"ELECTRIC GRANT READ ON t TO anyone:'r', authenticated.t:'r', \"Anyone\":'r'",
     GRANT(READ_ON_T ",\"roles\":[{\"scope\":\"anyone\",\"name\":\"r\"},"
                     "{\"scope\":\"authenticated.t\",\"name\":\"r\"},"
                     "{\"scope\":\"\\\\\"Anyone\\\\\"\",\"name\":\"r\"}]}")},
    {"ELECTRIC GRANT READ ON t TO (NULL, 'a:b'), (s.p, 'c'), (\"null\", 'd')",
     GRANT(READ_ON_T ",\"roles\":[{\"name\":\"a:b\"},{\"scope\":\"s.p\",\"name\":\"c\"},"
                     "{\"scope\":\"\\\\\"null\\\\\"\",\"name\":\"d\"}]}")},
    {"ELECTRIC GRANT READ ON t TO '\"a:b\".c:d:e', '\"a:b', p:'a:b'",
     GRANT(READ_ON_T ",\"roles\":[{\"scope\":\"\\\\\"a:b\\\\\".c\",\"name\":\"d:e\"},"
                     "{\"name\":\"\\\\\"a:b\"},{\"scope\":\"p\",\"name\":\"a:b\"}]}")},

    /* paths and expressions */
    {"ELECTRIC GRANT READ ON t TO 'r' USING issue_id / \"Project\"/c",
     GRANT(READ_ON_T ",\"roles\":[{\"name\":\"r\"}],"
                     "\"using\":[\"issue_id\",\"\\\\\"Project\\\\\"\",\"c\"]}")},
    {"ELECTRIC GRANT READ ON t TO 'r' USING p CHECK (name = 'Paul')",
     GRANT(READ_ON_T ",\"roles\":[{\"name\":\"r\"}],\"using\":[\"p\"],"
                     "\"check\":\"name = ''Paul''\"}")},
    {"ELECTRIC GRANT READ ON t TO 'r' CHECK ( /* a */ f(a, (b)) = 'it''s (' \n\tAND \"x\" > 10 "
     "--\n)",
     GRANT(READ_ON_T ",\"roles\":[{\"name\":\"r\"}],\"check\":"
                     "\"f(a, (b)) = ''it''''s ('' \\\\u000a\\\\u0009AND \\\\\"x\\\\\" > 10\"}")},
    {"ELECTRIC GRANT READ ON t TO 'r' CHECK (new.a = E'\\n' OR b IS NOT NULL)",
     GRANT(READ_ON_T ",\"roles\":[{\"name\":\"r\"}],"
                     "\"check\":\"new.a = E''\\\\\\\\n'' OR b IS NOT NULL\"}")},
    {"ELECTRIC GRANT READ ON t TO 'r' CHECK (()())",
     GRANT(READ_ON_T ",\"roles\":[{\"name\":\"r\"}],\"check\":\"()()\"}")},

    /* assignments */
    {"ELECTRIC ASSIGN user_roles.role_name TO user_roles.user_id",
     ASSIGN("{\"role_table\":\"user_roles\",\"role_column\":\"role_name\",\"table\":\"user_roles\","
            "\"column\":\"user_id\"}")},
    {"ELECTRIC ASSIGN (NuLl, a.u.\"R\") TO d.a.u.i",
     ASSIGN("{\"role_table\":\"a.u\",\"role_column\":\"\\\\\"R\\\\\"\",\"table\":\"d.a.u\","
            "\"column\":\"i\"}")},
    {"ELECTRIC ASSIGN ( projects, project_members.role) TO project_members.user_id",
     ASSIGN("{\"scope\":\"projects\",\"role_table\":\"project_members\",\"role_column\":\"role\","
            "\"table\":\"project_members\",\"column\":\"user_id\"}")},
    {"ELECTRIC ASSIGN aaa:'gzp' TO \"pTw\".\"cjd\".twi",
     ASSIGN("{\"scope\":\"aaa\",\"role\":\"gzp\",\"table\":\"\\\\\"pTw\\\\\".\\\\\"cjd\\\\\"\","
            "\"column\":\"twi\"}")},
    {"ELECTRIC ASSIGN (NULL, 'admin') TO admin_users.user_id",
     ASSIGN("{\"role\":\"admin\",\"table\":\"admin_users\",\"column\":\"user_id\"}")},
    {"ELECTRIC ASSIGN 'deliveries:driver' TO deliveries.driver_id USING x/y",
     ASSIGN("{\"scope\":\"deliveries\",\"role\":\"driver\",\"table\":\"deliveries\","
            "\"column\":\"driver_id\",\"using\":[\"x\",\"y\"]}")},
    {"ELECTRIC ASSIGN 'record.reader' TO user_permissions.user_id IF ( role = 'reader' )",
     ASSIGN("{\"role\":\"record.reader\",\"table\":\"user_permissions\",\"column\":\"user_id\","
            "\"if\":\"role = ''reader''\"}")},
    {"ELECTRIC UNASSIGN 'record.reader' FROM user_permissions.user_id",
     UNASSIGN(
         "{\"role\":\"record.reader\",\"table\":\"user_permissions\",\"column\":\"user_id\"}")},
    {"ELECTRIC UNASSIGN (p, m.role) FROM m.user_id",
     UNASSIGN("{\"scope\":\"p\",\"role_table\":\"m\",\"role_column\":\"role\",\"table\":\"m\","
              "\"column\":\"user_id\"}")},

    /* every kind of string */
    {"ELECTRIC SQLITE '-- a comment;'", "CALL electric.sqlite(E'-- a comment;')"},
    {"ELECTRIC SQLITE 'my '' string'", "CALL electric.sqlite(E'my '' string')"},
    {"ELECTRIC SQLITE ''", "CALL electric.sqlite(E'')"},
    {"ELECTRIC SQLITE $delim$my ' string$delim$", "CALL electric.sqlite(E'my '' string')"},
    {"ELECTRIC SQLITE $__234987dsdf__$a$$\\$__234987dsdf__$", "CALL electric.sqlite(E'a$$\\\\')"},
    {"ELECTRIC SQLITE $$$$", "CALL electric.sqlite(E'')"},
    {"ELECTRIC SQLITE 'a\\nb'", "CALL electric.sqlite(E'a\\\\nb')"},
    {"ELECTRIC SQLITE N'a''b'", "CALL electric.sqlite(E'a''b')"},
    {"ELECTRIC SQLITE E'a\\n\\t\\'\\\\\\x41\\x4g\\101\\q\\u0062\\U00000063\\xg'",
     "CALL electric.sqlite(E'a\n\t''\\\\A\x04gAqbcxg')"},
    {"ELECTRIC SQLITE E'\\xc3\\266\\u00F6\\U0001F600\\ud83d\\ude00\\0'",
     "CALL electric.sqlite(E'\\xc3\\xb6\\u00f6\\U0001f600\\ud83d\\ude00\\x00')"},
    {"ELECTRIC SQLITE U&'d\\0061t\\+000061 \\\\ ''\\00f6'",
     "CALL electric.sqlite(E'data \\\\ ''\\u00f6')"},
    {"ELECTRIC SQLITE U&'d?0061\\' /* c */ UESCAPE '?';", "CALL electric.sqlite(E'da\\\\')"},
    {"ELECTRIC SQLITE 'a' \n 'b' -- it's\n\r '''c'", "CALL electric.sqlite(E'ab''c')"},
    {"ELECTRIC SQLITE 'a'\n''\n'b'\n''", "CALL electric.sqlite(E'ab')"},
    {"ELECTRIC GRANT READ ON t TO E'a\\b\\f\\n\\\\\\\"\\x1f\\x7f\\x00\\u00f6\\xff\xff'",
     GRANT(READ_ON_T
           ",\"roles\":[{\"name\":\"a\\\\u0008\\\\u000c\\\\u000a\\\\\\\\\\\\\"\\\\u001f\x7f"
           "\\\\u0000\\u00f6\\xff\xff\"}]}")},
    {"ELECTRIC GRANT READ ON t TO U&'p\\003ar', $$p:r$$, e's\\072r'",
     GRANT(READ_ON_T
           ",\"roles\":[{\"scope\":\"p\",\"name\":\"r\"},{\"scope\":\"p\",\"name\":\"r\"},"
           "{\"scope\":\"s\",\"name\":\"r\"}]}")},
};
#define CALLS (sizeof calls / sizeof calls[0])

START_TEST(each_command_becomes_its_call)
{
    check_call(calls[_i].sql, true, calls[_i].expected);
}
END_TEST

START_TEST(backslashes_mean_what_the_setting_says)
{
    check_call("ELECTRIC SQLITE 'a\\'b\\n'", false, "CALL electric.sqlite(E'a''b\n')");
    check_call("ELECTRIC SQLITE N'a\\'b'", false, "CALL electric.sqlite(E'a''b')");
    check_call("ELECTRIC SQLITE $$\\$$", false, "CALL electric.sqlite(E'\\\\')");
    check_call("ELECTRIC ENABLE \"a\\\"", false, "CALL electric.enable(E'\"a\\\\\"')");
}
END_TEST

/* The culprit, and a word of the hint. */
static const struct {
    const char *sql;
    const char *culprit;
    const char *hint;
} mistakes[] = {
    {"ELECTRIC", "", "followed by ENABLE"},
    {"ELECTRIC;", "", "followed by ENABLE"},
    {"ELECTRIC NONSENSE items", "NONSENSE", "followed by ENABLE"},
    {"ELECTRIC \"enable\" items", "\"enable\"", "followed by ENABLE"},
    {"ELECTRIC.t", ".", "followed by ENABLE"},

    {"ELECTRIC ENABLE;", "", "ENABLE ELECTRIC"},
    {"ELECTRIC ENABLE 1things", "1", "ENABLE ELECTRIC"},
    {"ELECTRIC ENABLE 'things'", "'things'", "ENABLE ELECTRIC"},
    {"ELECTRIC DISABLE items extra more", "extra", "DISABLE"},
    {"ELECTRIC ENABLE a.b.c.d", "d", "ENABLE ELECTRIC"},
    {"ELECTRIC ENABLE a.", "", "ENABLE ELECTRIC"},
    {"ELECTRIC ENABLE U&\"\\00f\"", "U&\"\\00f\"", "ENABLE ELECTRIC"},
    {"ELECTRIC ENABLE U&\"a\" UESCAPE 'a'", "'a'", "ENABLE ELECTRIC"},
    {"ALTER TABLE t ENABLE ELECTRIC, ADD COLUMN x int", ",", "statement of its own"},
    {"ALTER TABLE t DISABLE ELECTRIC CASCADE", "CASCADE", "statement of its own"},

    {"ELECTRIC GRANT", "", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT EAT ON t TO 'r'", "EAT", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT, ON t TO 'r'", "ON", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT INSERT ON t TO 'r'", "INSERT", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT PRIVILEGES ON t TO 'r'", "PRIVILEGES", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT () ON t TO 'r'", ")", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT (a.b) ON t TO 'r'", "b", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT (a ON t TO 'r'", "ON", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT ON 'thing.K\xc3\xb6ln' TO 'r'", "'thing.K\xc3\xb6ln'",
     "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT ON t FROM 'r'", "FROM", "ELECTRIC GRANT privilege"},
    {"ELECTRIC GRANT SELECT ON t TO", "", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO 'r',", "", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO projects.owner", "projects", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO \"anyone\"", "\"anyone\"", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO ''", "''", "neither scope nor role may be empty"},
    {"ELECTRIC GRANT SELECT ON t TO ' '", "' '", "neither scope nor role may be empty"},
    {"ELECTRIC GRANT SELECT ON t TO ':'", "':'", "neither scope nor role may be empty"},
    {"ELECTRIC GRANT SELECT ON t TO ':r'", "':r'", "neither scope nor role may be empty"},
    {"ELECTRIC GRANT SELECT ON t TO 'projects:'", "'projects:'", "neither scope nor role"},
    {"ELECTRIC GRANT SELECT ON t TO p:''", "''", "neither scope nor role may be empty"},
    {"ELECTRIC GRANT SELECT ON t TO p:r", "r", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO p::'r'", ":", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO (NULL, m.role)", "m", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO ('p', 'r')", "'p'", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO (p 'r')", "'r'", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO (p, 'r'", "", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO B'01'", "B'01'", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO E'\\u00f'", "E'\\u00f'", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO U&'a' UESCAPE x", "x", "A role is written"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' USING", "", "[USING column"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' USING a/", "", "[USING column"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' USING a, b", ",", "[USING column"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' CHECK", "", "[CHECK (expression)]"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' CHECK a > 1", "a", "[CHECK (expression)]"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' CHECK ( )", ")", "[CHECK (expression)]"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' CHECK (a", "", "[CHECK (expression)]"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' CHECK (a))", ")", "[CHECK (expression)]"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' CHECK (a; b)", ";", "[CHECK (expression)]"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' CHECK (a) USING b", "USING", "[CHECK (expression)]"},
    {"ELECTRIC GRANT SELECT ON t TO 'r' IF (a)", "IF", "[CHECK (expression)]"},

    {"ELECTRIC REVOKE UPDATE ON 'thing.t' FROM 'r'", "'thing.t'", "ELECTRIC REVOKE privilege"},
    {"ELECTRIC REVOKE UPDATE ON t TO 'r'", "TO", "ELECTRIC REVOKE privilege"},
    {"ELECTRIC REVOKE UPDATE ON t FROM 'r' CHECK (a)", "CHECK", "ELECTRIC REVOKE privilege"},

    {"ELECTRIC ASSIGN 'projects:' TO users.user_id", "'projects:'", "neither scope nor role"},
    {"electric assign '' to users.user_id", "''", "neither scope nor role may be empty"},
    {"electric assign ':' to users.user_id", "':'", "neither scope nor role may be empty"},
    {"ELECTRIC ASSIGN (NULL, admin) TO admin_users.user_id", ")", "A role is written"},
    {"ELECTRIC ASSIGN deliveries:driver TO deliveries.driver_id", "driver", "A role is written"},
    {"ELECTRIC ASSIGN anyone TO t.user_id", "anyone", "A role is written"},
    {"ELECTRIC ASSIGN 'r' TO user_id", "", "ELECTRIC ASSIGN role TO table.column"},
    {"ELECTRIC ASSIGN 'r', 's' TO t.user_id", ",", "ELECTRIC ASSIGN role TO table.column"},
    {"ELECTRIC ASSIGN 'r' FROM t.user_id", "FROM", "ELECTRIC ASSIGN role TO table.column"},
    {"ELECTRIC ASSIGN 'r' TO t.user_id IF (a) b", "b", "[IF (expression)]"},
    {"ELECTRIC ASSIGN 'r' TO a.b.c.d.e", "e", "ELECTRIC ASSIGN role TO table.column"},
    {"ELECTRIC UNASSIGN 'r' TO t.user_id", "TO", "ELECTRIC UNASSIGN role FROM table.column"},
    {"ELECTRIC UNASSIGN 'r' FROM t.user_id IF (a)", "IF", "ELECTRIC UNASSIGN role FROM"},

    {"ELECTRIC SQLITE", "", "ELECTRIC SQLITE 'statements'"},
    {"ELECTRIC SQLITE x", "x", "ELECTRIC SQLITE 'statements'"},
    {"ELECTRIC SQLITE $1", "$", "ELECTRIC SQLITE 'statements'"},
    {"ELECTRIC SQLITE X'41'", "X'41'", "ELECTRIC SQLITE 'statements'"},
    {"ELECTRIC SQLITE 'a' 'b'", "'b'", "ELECTRIC SQLITE 'statements'"},
    {"ELECTRIC SQLITE U&'\\g'", "U&'\\g'", "ELECTRIC SQLITE 'statements'"},
};
#define MISTAKES (sizeof mistakes / sizeof mistakes[0])

START_TEST(a_mistake_is_found_in_its_place)
{
    const char *sql = mistakes[_i].sql, *culprit = mistakes[_i].culprit;
    struct bytes text = guarded_copy(sql, strlen(sql));
    struct buffer call;
    size_t end = strlen(sql) - (sql[strlen(sql) - 1] == ';');

    buffer_init(&call, 1 << 20);
    ck_assert_str_eq(kind_names[translate(text, true, &call)], "mistake");
    if (culprit[0] == '\0') {
        ck_assert_msg(mistake.start == end && mistake.end == end, "%s: %zu", sql, mistake.start);
    } else {
        ck_assert_msg(mistake.end - mistake.start == strlen(culprit) &&
                          strncmp(sql + mistake.start, culprit, strlen(culprit)) == 0,
                      "%s: %.*s", sql, (int)(mistake.end - mistake.start), sql + mistake.start);
    }
    ck_assert_msg(strstr(mistake.hint, mistakes[_i].hint) != NULL, "%s: %s", sql, mistake.hint);
    buffer_clear(&call);
    guarded_free(text);
}
END_TEST

static const char *const others[] = {
    "",
    "SELECT electric",
    "ALTER TABLE t ADD COLUMN electric int",
    "ALTER TABLE t ENABLE TRIGGER electric",
    "ALTER TABLE t DISABLE RULE electric",
    "ALTER TABLE electric ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE t ADD COLUMN enable electric",
    "ALTER TABLE t ENABLE \"electric\"",
    "ALTER TABLE 1things ENABLE ELECTRIC",
    "ALTER TABLE t. ENABLE ELECTRIC",
    "ALTER TABLE a.b.c.d ENABLE ELECTRIC",
    "ALTER VIEW t ENABLE ELECTRIC",
    "ALTER TABLE ENABLE ELECTRIC",
    "CREATE TABLE electric (electric int)",
    "\"electric\" enable t",
    "electrically enable t",
    "GRANT SELECT ON electric TO x",
    "ELECTRIC SQLITE 'never ends",
    "ELECTRIC GRANT \"never ends",
    "ELECTRIC SQLITE $$ never ends",
    "ELECTRIC ENABLE t /* never ends",
};
#define OTHERS (sizeof others / sizeof others[0])

START_TEST(anything_else_is_left_to_postgres)
{
    struct bytes text = guarded_copy(others[_i], strlen(others[_i]));
    struct buffer call;

    buffer_init(&call, 1 << 20);
    ck_assert_msg(translate(text, true, &call) == DDLX_NONE, "%s: %s", others[_i], mistake.hint);
    guarded_free(text);
}
END_TEST

START_TEST(no_prefix_is_read_beyond_its_end)
{
    const char *sql = calls[_i].sql;

    for (size_t len = 0; len <= strlen(sql); len++) {
        struct bytes text = guarded_copy(sql, len);
        struct buffer call;
        buffer_init(&call, 1 << 20);
        translate(text, (len & 1) != 0, &call);
        buffer_clear(&call);
        guarded_free(text);
    }
}
END_TEST

START_TEST(a_call_follows_what_is_in_the_buffer)
{
    struct buffer call;

    buffer_init(&call, 1 << 20);
    buffer_append_string(&call, "before");
    translate(bytes_of_string("ELECTRIC ENABLE t"), true, &call);
    ck_assert_uint_eq(buffer_len(&call),
                      strlen("before") + 1 + strlen("CALL electric.enable(E't')"));
    buffer_clear(&call);
}
END_TEST

/* `head`, many times `body`, and `tail`. */
static struct bytes long_text(const char *head, const char *body, size_t count, const char *tail)
{
    size_t len = strlen(head) + strlen(body) * count + strlen(tail);
    char *text = malloc(len + 1), *at = stpcpy(text, head);

    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, body);
    strcpy(at, tail);
    return bytes_of(text, len);
}

static const struct {
    const char *head, *body, *tail;
    enum ddlx_kind kind;
} long_texts[] = {
    {"ELECTRIC GRANT READ ON t TO 'r' CHECK (a", "(", ")", DDLX_MISTAKE},
    {"ELECTRIC GRANT READ ON t TO 'r' CHECK (a", "()", ")", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t TO 'r' CHECK (a", "\x01\x02", ")", DDLX_GRANT},
    {"ELECTRIC GRANT ALL", ",ALL", " ON t TO 'r'", DDLX_GRANT},
    {"ELECTRIC GRANT READ(a", ",a", ") ON t TO 'r'", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t", ",t", " TO 'r'", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t TO 'r'", ",'r'", "", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t TO 'r'", ",a:'r'", "", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t TO ANYONE", ",ANYONE", "", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t TO E'r", "\\1", "'", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t TO 'r", ":\"", "'", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t TO 'r' USING a", "/a", "", DDLX_GRANT},
    {"ELECTRIC GRANT READ ON t TO 'r' USING a", ".a", "", DDLX_MISTAKE},
    {"ELECTRIC SQLITE E'", "\\'", "'", DDLX_SQLITE},
    {"ELECTRIC SQLITE 'a'", "\n'a'", "", DDLX_SQLITE},
    {"ELECTRIC SQLITE U&'", "\\00f6", "'", DDLX_SQLITE},
    {"ELECTRIC ENABLE \"", "\"\"", "\"", DDLX_ENABLE},
    {"ELECTRIC ENABLE U&\"", "\\0022", "\"", DDLX_ENABLE},
};
#define LONG_TEXTS (sizeof long_texts / sizeof long_texts[0])

START_TEST(a_long_statement_takes_linear_time_and_no_stack)
{
    size_t count = ((size_t)1 << 20) / strlen(long_texts[_i].body);
    struct bytes text =
        long_text(long_texts[_i].head, long_texts[_i].body, count, long_texts[_i].tail);
    struct buffer call;

    buffer_init(&call, text.len * DDLX_GROWTH);
    ck_assert_str_eq(kind_names[translate(text, true, &call)], kind_names[long_texts[_i].kind]);
    buffer_clear(&call);
    free((void *)text.data);
}
END_TEST

START_TEST(every_command_has_its_tag)
{
    ck_assert_str_eq(ddlx_tag(DDLX_ENABLE), "ELECTRIC ENABLE");
    ck_assert_str_eq(ddlx_tag(DDLX_DISABLE), "ELECTRIC DISABLE");
    ck_assert_str_eq(ddlx_tag(DDLX_GRANT), "ELECTRIC GRANT");
    ck_assert_str_eq(ddlx_tag(DDLX_REVOKE), "ELECTRIC REVOKE");
    ck_assert_str_eq(ddlx_tag(DDLX_ASSIGN), "ELECTRIC ASSIGN");
    ck_assert_str_eq(ddlx_tag(DDLX_UNASSIGN), "ELECTRIC UNASSIGN");
    ck_assert_str_eq(ddlx_tag(DDLX_SQLITE), "ELECTRIC SQLITE");
}
END_TEST

SUITE("ddlx", LOOP(each_command_becomes_its_call, 0, CALLS),
      TEST(backslashes_mean_what_the_setting_says),
      LOOP(a_mistake_is_found_in_its_place, 0, MISTAKES),
      LOOP(anything_else_is_left_to_postgres, 0, OTHERS),
      LOOP(no_prefix_is_read_beyond_its_end, 0, CALLS), TEST(a_call_follows_what_is_in_the_buffer),
      LOOP(a_long_statement_takes_linear_time_and_no_stack, 0, LONG_TEXTS),
      TEST(every_command_has_its_tag))
