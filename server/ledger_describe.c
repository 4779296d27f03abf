/* Operations of a migration, gathered by table in order of appearance. */
#include "server/ledger_describe.h"

#include <jansson.h>
#include <string.h>

enum { SUBJECTS_MAX = 16, PHRASES_MAX = 6, PHRASE_MAX = 160 };

/* A table, or a type, and what happens to it. */
struct subject {
    const char *schema;
    const char *name;
    char phrases[PHRASES_MAX][PHRASE_MAX];
    size_t count; /* of operations; may exceed what is kept */
};

struct summary {
    struct subject subjects[SUBJECTS_MAX];
    size_t count;
    size_t left_out; /* operations on further subjects */
};

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value != NULL ? value : "";
}

/* How an operation reads: `verb` and, in most, the name of what is concerned: of an object within
 * the operation, or of the operation itself. */
static const struct wording {
    const char *op;
    const char *verb;
    const char *within;
    const char *key;
} wordings[] = {
    {"add_column", "add column ", "column", "name"},
    {"add_foreign_key", "add foreign key ", "foreign_key", "name"},
    {"assign", "assign role", NULL, NULL},
    {"create_index", "create index ", "index", "name"},
    {"create_type", "create type", NULL, NULL},
    {"disable_table", "disable", NULL, NULL},
    {"drop_index", "drop index ", NULL, "name"},
    {"drop_type", "drop type", NULL, NULL},
    {"grant", "grant ", NULL, "privilege"},
    {"revoke", "revoke ", NULL, "privilege"},
    {"unassign", "unassign role", NULL, NULL},
};

static void phrase_operation(const json_t *op, char out[PHRASE_MAX])
{
    const char *kind = text(op, "op");

    if (strcmp(kind, "create_table") == 0) {
        size_t columns = json_array_size(json_object_get(op, "columns"));

        (void)snprintf(out, PHRASE_MAX, "create table, %zu column%s", columns,
                       columns == 1 ? "" : "s");
        return;
    }
    for (size_t i = 0; i < sizeof(wordings) / sizeof(wordings[0]); i++) {
        const struct wording *wording = &wordings[i];
        const json_t *holder = wording->within != NULL ? json_object_get(op, wording->within) : op;

        if (strcmp(kind, wording->op) == 0) {
            (void)snprintf(out, PHRASE_MAX, "%s%s", wording->verb,
                           wording->key != NULL ? text(holder, wording->key) : "");
            return;
        }
    }
    (void)snprintf(out, PHRASE_MAX, "%s", kind);
}

static struct subject *subject_of(struct summary *summary, const json_t *op)
{
    const char *schema = text(op, "schema");
    const char *name = text(op, "table");
    struct subject *subject;

    if (*name == '\0')
        name = text(op, "name");
    for (size_t i = 0; i < summary->count; i++)
        if (strcmp(summary->subjects[i].name, name) == 0 &&
            strcmp(summary->subjects[i].schema, schema) == 0)
            return &summary->subjects[i];
    if (summary->count == SUBJECTS_MAX)
        return NULL;
    subject = &summary->subjects[summary->count++];
    subject->schema = schema;
    subject->name = name;
    return subject;
}

static void gather(struct summary *summary, const json_t *ops)
{
    const json_t *op;
    size_t i;

    json_array_foreach(ops, i, op)
    {
        struct subject *subject = subject_of(summary, op);

        if (subject == NULL) {
            summary->left_out++;
            continue;
        }
        if (subject->count < PHRASES_MAX)
            phrase_operation(op, subject->phrases[subject->count]);
        subject->count++;
    }
}

static void append_subject(const struct subject *subject, struct buffer *line)
{
    /* SQL for clients has no table. */
    if (*subject->name != '\0') {
        bool plain = *subject->schema == '\0' || strcmp(subject->schema, "public") == 0;

        (void)buffer_append_format(line, "%.*s%s%.160s (", plain ? 0 : 63, subject->schema,
                                   plain ? "" : ".", subject->name);
    }
    for (size_t i = 0; i < subject->count && i < PHRASES_MAX; i++)
        (void)buffer_append_format(line, "%s%s", i > 0 ? ", " : "", subject->phrases[i]);
    if (subject->count > PHRASES_MAX)
        (void)buffer_append_format(line, ", %zu more", subject->count - PHRASES_MAX);
    if (*subject->name != '\0')
        (void)buffer_append_u8(line, ')');
}

static void append_origin(const struct ledger_row *row, struct buffer *line)
{
    if (*row->framework != '\0')
        (void)buffer_append_format(line, " by %.100s", row->framework);
    if (*row->label != '\0')
        (void)buffer_append_format(line, " (%.200s)", row->label);
    if (*row->application_name != '\0')
        (void)buffer_append_format(line, ", application %.63s", row->application_name);
}

void ledger_describe(const struct ledger_row *row, struct buffer *line)
{
    struct summary summary = {.count = 0};
    json_t *ops = json_loadb((const char *)row->ops.data, row->ops.len, 0, NULL);

    gather(&summary, ops);
    (void)buffer_append_format(line, "migration %.63s captured: ", row->version);
    for (size_t i = 0; i < summary.count; i++) {
        if (i > 0)
            (void)buffer_append_format(line, ", ");
        append_subject(&summary.subjects[i], line);
    }
    if (summary.left_out > 0)
        (void)buffer_append_format(line, ", and %zu more operations", summary.left_out);
    append_origin(row, line);
    json_decref(ops);
}
