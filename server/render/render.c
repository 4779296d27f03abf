/* One migration: read, planned, scripted, and written in the forms that clients get. */
#include "server/render/render.h"

#include "server/render/dialect.h"
#include "server/render/satellite.h"
#include "server/render/sql.h"

#include <inttypes.h>

/* SQL is not much longer than the ops it comes from; the names of a table are what repeats. */
#define TEXT_CAPACITY(len) ((len)*8 + 4096)

struct rendering {
    const struct render_migration *migration;
    enum render_dialect dialect;
    struct arena arena;
    json_t *json;
    struct model model;
    struct script script;
};

static enum status parse(struct rendering *rendering, struct error *error)
{
    const struct bytes ops = rendering->migration->ops;
    json_error_t mistake;

    /* Never NULL, which jansson would take for a mistake of ours. */
    rendering->json = json_loadb(ops.len == 0 ? "" : (const char *)ops.data, ops.len, 0, &mistake);
    if (rendering->json == NULL)
        return error_set(error, STATUS_INVALID, "XX001", "cannot read the ops of migration %s: %s",
                         rendering->migration->version, mistake.text);
    return STATUS_OK;
}

static enum status too_large(const struct rendering *rendering, struct error *error)
{
    return error_set(error, STATUS_FULL, "54000", "migration %s is too large",
                     rendering->migration->version);
}

static void clear(struct rendering *rendering)
{
    script_clear(&rendering->script);
    json_decref(rendering->json);
    arena_clear(&rendering->arena);
}

/* To be cleared by the caller, whatever it answers. */
static enum status make(struct rendering *rendering, const struct render_migration *migration,
                        enum render_dialect dialect, struct error *error)
{
    struct plan plan;

    *rendering = (struct rendering){.migration = migration, .dialect = dialect};
    script_init(&rendering->script, &rendering->arena, TEXT_CAPACITY(migration->ops.len));
    enum status status = parse(rendering, error);
    if (status == STATUS_OK)
        status = model_read(rendering->json, &rendering->arena, &rendering->model, error);
    if (status != STATUS_OK)
        return status;

    plan_make(&rendering->model, &rendering->arena, &plan);
    switch (dialect) {
    case RENDER_SQLITE:
        sqlite_render(&plan, &rendering->script);
        break;
    case RENDER_POSTGRES:
        postgres_render(&plan, &rendering->script);
        break;
    }
    return buffer_failed(&rendering->script.text) ? too_large(rendering, error) : STATUS_OK;
}

/* -- pieces of JSON ---------------------------------------------------------------------------- */

static int append_chunk(const char *data, size_t size, void *out)
{
    return buffer_append(out, bytes_of(data, size)) ? 0 : -1;
}

/* False when the buffer is full. */
static bool append_json(struct buffer *out, const json_t *json)
{
    return json_dump_callback(json, append_chunk, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
}

/* What is no UTF-8 becomes null: Postgres sends none. */
static void append_string(struct buffer *out, struct bytes text)
{
    json_t *json =
        text.len == 0 ? json_string("") : json_stringn((const char *)text.data, text.len);

    append_json(out, json == NULL ? json_null() : json);
    json_decref(json);
}

static void append_ops(struct buffer *out, const struct rendering *rendering)
{
    const struct script *script = &rendering->script;
    const char *terminator = rendering->dialect == RENDER_SQLITE ? ";\n" : "";
    const char *separator = "";

    sql_append(out, "\"ops\":[");
    for (size_t i = 0; i < script->group_count && !buffer_failed(out); i++) {
        const struct script_group *group = &script->groups[i];
        if (group->count == 0 && group->new_type == NULL)
            continue;
        sql_append(out, separator);
        sql_append(out, "\"");
        satellite_append(script, group, rendering->migration->version, terminator, out);
        sql_append(out, "\"");
        separator = ",";
    }
    sql_append(out, "]");
}

/* Of what there is to tell. The first key comes after `separator`; false: there is none. */
static bool append_details(struct buffer *out, const struct rendering *rendering,
                           const char *separator)
{
    const char *label = rendering->migration->label;
    bool found = false;
    json_t *rules = json_array();

    for (size_t i = 0; i < rendering->model.op_count; i++) {
        if (rendering->model.ops[i].kind == OP_RULE)
            json_array_append(rules, rendering->model.ops[i].json);
    }
    if (label != NULL && label[0] != '\0') {
        buffer_append_format(out, "%s\"label\":", separator);
        append_string(out, bytes_of_string(label));
        separator = ",";
        found = true;
    }
    if (json_array_size(rendering->script.omitted) > 0) {
        buffer_append_format(out, "%s\"omitted\":", separator);
        append_json(out, rendering->script.omitted);
        separator = ",";
        found = true;
    }
    if (json_array_size(rules) > 0) {
        buffer_append_format(out, "%s\"rules\":", separator);
        append_json(out, rules);
        found = true;
    }
    json_decref(rules);
    return found;
}

/* -- the forms --------------------------------------------------------------------------------- */

static void append_sql(struct buffer *out, const struct script *script)
{
    for (size_t i = 0; i < script->statement_count; i++) {
        if (i > 0)
            sql_append(out, "\n");
        buffer_append(out, script_text(script, &script->statements[i]));
        sql_append(out, ";\n");
    }
}

static void append_metadata(struct buffer *out, const struct rendering *rendering)
{
    sql_append(out, "{\"format\":\"SatOpMigrate\",");
    append_ops(out, rendering);
    sql_append(out, ",\"protocol_version\":\"Electric.Satellite\",\"version\":");
    append_string(out, bytes_of_string(rendering->migration->version));
    sql_append(out, "}");
}

static void append_event(struct buffer *out, const struct rendering *rendering, uint64_t seq)
{
    const struct script *script = &rendering->script;

    buffer_append_format(out, "{\"seq\":%" PRIu64 ",\"version\":", seq);
    append_string(out, bytes_of_string(rendering->migration->version));
    sql_append(out, ",\"sql\":[");
    for (size_t i = 0; i < script->statement_count; i++) {
        if (i > 0)
            sql_append(out, ",");
        append_string(out, script_text(script, &script->statements[i]));
    }
    sql_append(out, "],");
    append_ops(out, rendering);
    append_details(out, rendering, ",");
    sql_append(out, "}");
}

enum status render_migration(const struct render_migration *migration, enum render_dialect dialect,
                             struct buffer *sql, struct buffer *metadata, struct error *error)
{
    const size_t sql_len = sql == NULL ? 0 : buffer_len(sql);
    const size_t metadata_len = metadata == NULL ? 0 : buffer_len(metadata);
    struct rendering rendering;
    enum status status = make(&rendering, migration, dialect, error);

    if (status == STATUS_OK && sql != NULL)
        append_sql(sql, &rendering.script);
    if (status == STATUS_OK && metadata != NULL)
        append_metadata(metadata, &rendering);
    if (status == STATUS_OK &&
        ((sql != NULL && buffer_failed(sql)) || (metadata != NULL && buffer_failed(metadata)))) {
        status = too_large(&rendering, error);
        if (sql != NULL)
            buffer_truncate(sql, sql_len);
        if (metadata != NULL)
            buffer_truncate(metadata, metadata_len);
    }
    clear(&rendering);
    return status;
}

/* Of a buffer that was `len` long before something was appended. */
static enum status end_json(const struct rendering *rendering, struct buffer *json, size_t len,
                            struct error *error)
{
    if (!buffer_failed(json))
        return STATUS_OK;
    buffer_truncate(json, len);
    return too_large(rendering, error);
}

enum status render_details(const struct render_migration *migration, enum render_dialect dialect,
                           struct buffer *json, struct error *error)
{
    const size_t len = buffer_len(json);
    struct rendering rendering;
    enum status status = make(&rendering, migration, dialect, error);

    if (status == STATUS_OK) {
        if (append_details(json, &rendering, "{"))
            sql_append(json, "}");
        status = end_json(&rendering, json, len, error);
    }
    clear(&rendering);
    return status;
}

enum status render_event(uint64_t seq, const struct render_migration *migration,
                         enum render_dialect dialect, struct buffer *json, struct error *error)
{
    const size_t len = buffer_len(json);
    struct rendering rendering;
    enum status status = make(&rendering, migration, dialect, error);

    if (status == STATUS_OK) {
        append_event(json, &rendering, seq);
        status = end_json(&rendering, json, len, error);
    }
    clear(&rendering);
    return status;
}
