/* The files and events that a migration becomes, and what is refused. */
#include "tests/support/suite.h"
#include "tests/unit/render_forms.h"
#include "tests/unit/render_ops_text.h"

#include <jansson.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char index_left_out[] = "[" CREATE_TABLE(
    "i", "<id int4!>", "", "{'name':'h','method':'hash','columns':[" ON("id") "]}") "]";

START_TEST(metadata_has_four_keys_in_this_order)
{
    static const char *const keys[] = {"format", "ops", "protocol_version", "version"};
    struct forms forms = forms_of(index_left_out, "label", RENDER_SQLITE);
    json_t *metadata = json_loads(forms.metadata, 0, NULL);
    const char *key;
    const json_t *value;
    size_t i = 0;

    json_object_foreach(metadata, key, value)
    {
        ck_assert_uint_lt(i, COUNT(keys));
        ck_assert_str_eq(key, keys[i++]);
    }
    ck_assert_uint_eq(i, COUNT(keys));
    ck_assert_str_eq(json_string_value(json_object_get(metadata, "version")), "20260101");
    ck_assert_uint_eq(json_array_size(json_object_get(metadata, "ops")), 1);
    json_decref(metadata);
    forms_clear(&forms);
}
END_TEST

static const struct grouping {
    const char *ops;
    size_t sqlite, postgres; /* how many messages */
} groupings[] = {
    {"[]", 0, 0},
    {"[" CREATE_TYPE("t", "'x'") "," CREATE_TABLE("i", "<id int4!>", "",
                                                  INDEX("x", ON("id"), "")) "]",
     2, 2},
    {"[" ADD_COLUMN("i", "<id int4!>") "," CREATE_INDEX("i", INDEX("x", ON("id"), ""),
                                                        "<id int4!>") "]",
     1, 1},
    {"[" CREATE_INDEX("i", INDEX("x", ON("id"), ""), "<id int4!>") "," DROP_INDEX("i", "x") "]", 2,
     2},
    {"[" ADD_COLUMN("i", "<id int4!>") "," ADD_COLUMN("k", "<id int4!>") "]", 2, 2},
    {"[" CREATE_TABLE("i", "<id int4!>", "", "") "," ADD_COLUMN("i", "<c text>") "]", 2, 2},
    {"[" DROP_TYPE("t") "," SQLITE("SELECT 1; SELECT 2") "]", 1, 1},
    {"[" SQLITE("-- nothing") "]", 0, 0},
};

static size_t count_ops(const char *ops, enum render_dialect dialect)
{
    struct forms forms = forms_of(ops, NULL, dialect);
    json_t *metadata = json_loads(forms.metadata, 0, NULL);
    size_t count = json_array_size(json_object_get(metadata, "ops"));

    ck_assert_int_eq(forms.status, STATUS_OK);
    json_decref(metadata);
    forms_clear(&forms);
    return count;
}

START_TEST(one_statement_of_the_user_is_one_message)
{
    ck_assert_uint_eq(count_ops(groupings[_i].ops, RENDER_SQLITE), groupings[_i].sqlite);
    ck_assert_uint_eq(count_ops(groupings[_i].ops, RENDER_POSTGRES), groupings[_i].postgres);
}
END_TEST

#define OMITTED(what, name, why) \
    "{\"table\":\"i\",\"" what "\":\"" name "\",\"reason\":\"" why "\"}"

static const struct details {
    const char *ops, *label, *sqlite, *postgres;
} details[] = {
    {"[]", NULL, "", ""},
    {"[]", "", "", ""},
    {"[]", "create \"it\"", "{\"label\":\"create \\\"it\\\"\"}",
     "{\"label\":\"create \\\"it\\\"\"}"},
    {"[{'op':'grant','schema':'public','table':'i','role':'x'}]", "l",
     "{\"label\":\"l\",\"rules\":[{\"op\":\"grant\",\"schema\":\"public\",\"table\":\"i\",\"role\":"
     "\"x\"}]}",
     "{\"label\":\"l\",\"rules\":[{\"op\":\"grant\",\"schema\":\"public\",\"table\":\"i\",\"role\":"
     "\"x\"}]}"},
    {index_left_out, NULL, "{\"omitted\":[" OMITTED("index", "h", "access method hash") "]}", ""},
    {"[" ADD_COLUMN("i", "<c text!>") "]", NULL,
     "{\"omitted\":[" OMITTED("column", "c", "NOT NULL, since clients have rows without it") "]}",
     ""},
    {"[" ADD_COLUMN("i", "{'name':'c','type':'text','collation':'public.ci'}") "]", NULL, "",
     "{\"omitted\":[" OMITTED("column", "c", "collation public.ci may not be there") "]}"},
    {"[" CREATE_INDEX("i", INDEX("x", "{'expression':'md5(t)'}", ""), "<t text>") "]", NULL,
     "{\"omitted\":[" OMITTED("index", "x", "no translation of function md5") "]}", ""},
    {"[" CREATE_INDEX("i", INDEX("x", "{'column':'t','opclass':'gist_trgm_ops'}", ""),
                      "<id int4!>") "]",
     NULL, "", "{\"omitted\":[" OMITTED("index", "x", "its operator class may not be there") "]}"},
    {"[" CHANGE("create_index", "i", "'index':" INDEX("x", "{'expression':'lower(t)'}", "")) "]",
     NULL, "{\"omitted\":[" OMITTED("index", "x", "the columns of its table are not known") "]}",
     "{\"omitted\":[" OMITTED("index", "x", "the columns of its table are not known") "]}"},
    {"[" CREATE_TABLE("i", "<id int4!>", PLAIN_KEY("fk", "id", "b", "false"), "") "]", NULL,
     "{\"omitted\":[" OMITTED("foreign_key", "fk",
                              "the table it refers to is not electrified") "]}",
     "{\"omitted\":[" OMITTED("foreign_key", "fk",
                              "the table it refers to is not electrified") "]}"},
    {"[" ADD_KEY("i", PLAIN_KEY("fk", "id", "b", "true")) "]", NULL,
     "{\"omitted\":[" OMITTED("foreign_key", "fk",
                              "SQLite cannot add it to a table that is there") "]}",
     ""},
    {"[" ADD_COLUMN("i", "<c text!>") "," DISABLE("i") "]", NULL, "", ""},
    {"[" SQLITE("SELECT `") "]", NULL,
     "{\"omitted\":[{\"sqlite\":\"SELECT '\",\"reason\":\"a quote or a trigger in it does not "
     "end\"}]}",
     ""},
};

START_TEST(details_tell_what_else_there_is)
{
    struct forms sqlite = forms_of(details[_i].ops, details[_i].label, RENDER_SQLITE);
    struct forms postgres = forms_of(details[_i].ops, details[_i].label, RENDER_POSTGRES);

    ck_assert_str_eq(sqlite.details, details[_i].sqlite);
    ck_assert_str_eq(postgres.details, details[_i].postgres);
    forms_clear(&sqlite);
    forms_clear(&postgres);
}
END_TEST

START_TEST(an_event_is_one_line_with_everything_in_it)
{
    struct forms forms = forms_of("[" CREATE_TABLE("i", "<id int4!>", "", "") "," DISABLE("k") "]",
                                  "l", RENDER_SQLITE);
    json_t *event = json_loads(forms.event, 0, NULL);
    json_t *metadata = json_loads(forms.metadata, 0, NULL);
    const json_t *sql = json_object_get(event, "sql");

    ck_assert_ptr_null(strpbrk(forms.event, "\r\n"));
    ck_assert_int_eq(json_integer_value(json_object_get(event, "seq")), 7);
    ck_assert_str_eq(json_string_value(json_object_get(event, "version")), "20260101");
    ck_assert_str_eq(json_string_value(json_object_get(event, "label")), "l");
    ck_assert_uint_eq(json_array_size(sql), 2);
    ck_assert_str_eq(json_string_value(json_array_get(sql, 1)), "DROP TABLE IF EXISTS \"k\"");
    ck_assert(json_equal(json_object_get(event, "ops"), json_object_get(metadata, "ops")));
    json_decref(event);
    json_decref(metadata);
    forms_clear(&forms);
}
END_TEST

static const char *const malformed[] = {
    "",
    "[",
    "{}",
    "null",
    "[1]",
    "[{}]",
    "[{'op':'rename_table','schema':'public','table':'i'}]",
    "[{'op':'create_table','schema':'public','table':'i'}]",
    "[" CREATE_TABLE("i", "", "", "") "]",
    "[" CREATE_TABLE("", "<id int4!>", "", "") "]",
    "[" CREATE_TABLE("i", "<id money>", "", "") "]",
    "[" CREATE_TABLE("i", "<id int4!>", "{}", "") "]",
    "[" CREATE_TABLE("i", "<id int4!>", KEY("k", "id", "b", "true", "'on_delete':'x'"), "") "]",
    "[" CREATE_TABLE("i", "<id int4!>", "", "{'name':'x','method':'btree','columns':[{}]}") "]",
    "[" CREATE_TABLE("i", "<id int4!>", "", "{'name':'x','method':'btree','columns':[]}") "]",
    "[" CHANGE("add_column", "i", "'column':7") "]",
    "[" CHANGE("drop_index", "i", "'name':7") "]",
    "[{'op':'sqlite'}]",
    "[" SQLITE("\\u0000") "]",
};

START_TEST(malformed_ops_are_refused)
{
    for (int dialect = RENDER_SQLITE; dialect <= RENDER_POSTGRES; dialect++) {
        struct forms forms = forms_of(malformed[_i], NULL, (enum render_dialect)dialect);
        ck_assert_int_eq(forms.status, STATUS_INVALID);
        ck_assert_str_eq(forms.error.sqlstate, "XX001");
        ck_assert_str_eq(forms.sql, "");
        ck_assert_str_eq(forms.metadata, "");
        forms_clear(&forms);
    }
}
END_TEST

/* Whatever the capacity, all or nothing is appended. */
START_TEST(a_full_buffer_keeps_what_was_in_it)
{
    char *ops = forms_json(index_left_out);
    const struct render_migration migration = {"1", "l", bytes_of_string(ops)};
    struct buffer sql, json;
    struct error error;
    enum status status = STATUS_FULL;

    for (size_t capacity = 3; status == STATUS_FULL; capacity++) {
        buffer_init(&sql, capacity);
        buffer_init(&json, capacity);
        buffer_append(&sql, bytes_of_string("old"));
        buffer_append(&json, bytes_of_string("old"));
        status = render_migration(&migration, RENDER_SQLITE, &sql, &json, &error);
        if (status == STATUS_FULL) {
            ck_assert_str_eq(error.sqlstate, "54000");
            ck_assert(bytes_equal_string(buffer_peek(&sql), "old"));
            ck_assert(bytes_equal_string(buffer_peek(&json), "old"));
        }
        buffer_clear(&json);
        buffer_append(&json, bytes_of_string("old"));
        if (render_event(1, &migration, RENDER_SQLITE, &json, &error) == STATUS_FULL)
            ck_assert(bytes_equal_string(buffer_peek(&json), "old"));
        buffer_clear(&sql);
        buffer_clear(&json);
    }
    ck_assert_int_eq(status, STATUS_OK);
    free(ops);
}
END_TEST

SUITE("render_forms", TEST(metadata_has_four_keys_in_this_order),
      LOOP(one_statement_of_the_user_is_one_message, 0, COUNT(groupings)),
      LOOP(details_tell_what_else_there_is, 0, COUNT(details)),
      TEST(an_event_is_one_line_with_everything_in_it),
      LOOP(malformed_ops_are_refused, 0, COUNT(malformed)),
      TEST(a_full_buffer_keeps_what_was_in_it))
