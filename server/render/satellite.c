/* Fills protobuf-c's structs with borrowed strings and packs them. */
#include "server/render/satellite.h"

#include "satellite.pb-c.h"

#define Message(name) Electric__Satellite__SatOpMigrate##name

/* -- base64 ------------------------------------------------------------------------------------ */

/* Where protobuf-c packs to; three bytes become four characters. */
struct base64_sink {
    ProtobufCBuffer base;
    struct buffer *out;
    uint8_t waiting[3];
    size_t count;
};

static void flush_base64(struct base64_sink *sink)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits =
        (uint32_t)sink->waiting[0] << 16 | (uint32_t)sink->waiting[1] << 8 | sink->waiting[2];
    char text[4];

    if (sink->count == 0)
        return;
    for (unsigned i = 0; i < sizeof text; i++)
        text[i] = i <= sink->count ? alphabet[bits >> (18 - 6 * i) & 63] : '=';
    buffer_append(sink->out, bytes_of(text, sizeof text));
    sink->count = 0;
    sink->waiting[1] = 0;
    sink->waiting[2] = 0;
}

static void append_base64(ProtobufCBuffer *base, size_t len, const uint8_t *data)
{
    struct base64_sink *sink = (struct base64_sink *)base;

    for (size_t i = 0; i < len; i++) {
        sink->waiting[sink->count++] = data[i];
        if (sink->count == sizeof sink->waiting)
            flush_base64(sink);
    }
}

/* -- message ----------------------------------------------------------------------------------- */

/* The structs want char *, but packing only reads. */
static char *unconst(const char *string)
{
    return (char *)(uintptr_t)string;
}

static char **fill_names(struct arena *arena, const struct model_names *names)
{
    char **strings = arena_new_array(arena, names->count, sizeof *strings);

    for (size_t i = 0; i < names->count; i++)
        strings[i] = unconst(names->items[i]);
    return strings;
}

static Message(__Column) * fill_column(struct arena *arena, const struct model_column *column)
{
    Message(__Column) *message = arena_new(arena, sizeof *message);
    Message(__PgColumnType) *type = arena_new(arena, sizeof *type);

    electric__satellite__sat_op_migrate__column__init(message);
    electric__satellite__sat_op_migrate__pg_column_type__init(type);
    type->name = unconst(column->enum_name != NULL ? column->enum_name : column->type->name);
    message->name = unconst(column->name);
    message->sqlite_type = unconst(column->type->sqlite);
    message->pg_type = type;
    return message;
}

static Message(__ForeignKey) *
    fill_foreign_key(struct arena *arena, const struct model_foreign_key *key)
{
    Message(__ForeignKey) *message = arena_new(arena, sizeof *message);

    electric__satellite__sat_op_migrate__foreign_key__init(message);
    message->n_fk_cols = key->columns.count;
    message->fk_cols = fill_names(arena, &key->columns);
    message->pk_table = unconst(key->target_table);
    message->n_pk_cols = key->target_columns.count;
    message->pk_cols = fill_names(arena, &key->target_columns);
    return message;
}

/* Client libraries make triggers of these. They read from the target, so it must be there; and they
 * give up altogether at a key of several columns. */
static bool has_trigger(const struct model_foreign_key *key)
{
    return key->electrified && key->columns.count == 1;
}

static Message(__Table) * fill_table(struct arena *arena, const struct model_table *table)
{
    Message(__Table) *message = arena_new(arena, sizeof *message);

    electric__satellite__sat_op_migrate__table__init(message);
    message->name = unconst(table->name);
    message->columns = arena_new_array(arena, table->column_count, sizeof *message->columns);
    for (size_t i = 0; i < table->column_count; i++)
        message->columns[message->n_columns++] = fill_column(arena, &table->columns[i]);
    message->fks = arena_new_array(arena, table->foreign_key_count, sizeof *message->fks);
    for (size_t i = 0; i < table->foreign_key_count; i++) {
        if (has_trigger(&table->foreign_keys[i]))
            message->fks[message->n_fks++] = fill_foreign_key(arena, &table->foreign_keys[i]);
    }
    message->n_pks = table->primary_key_columns.count;
    message->pks = fill_names(arena, &table->primary_key_columns);
    return message;
}

static Message(__EnumType) * fill_enum(struct arena *arena, const struct model_op *op)
{
    Message(__EnumType) *message = arena_new(arena, sizeof *message);

    electric__satellite__sat_op_migrate__enum_type__init(message);
    message->name = unconst(op->name);
    message->n_values = op->labels.count;
    message->values = fill_names(arena, &op->labels);
    return message;
}

static Message(__Stmt) * fill_statement(struct arena *arena, const struct script *script,
                                        const struct script_statement *statement,
                                        const char *terminator)
{
    Message(__Stmt) *message = arena_new(arena, sizeof *message);
    struct bytes text = script_text(script, statement);

    electric__satellite__sat_op_migrate__stmt__init(message);
    message->type = (Message(__Stmt__Type))statement->type;
    message->sql =
        arena_format(arena, "%.*s%s", (int)text.len, (const char *)text.data, terminator);
    return message;
}

void satellite_append(const struct script *script, const struct script_group *group,
                      const char *version, const char *terminator, struct buffer *out)
{
    struct base64_sink sink = {.base = {append_base64}, .out = out};
    Message() message = ELECTRIC__SATELLITE__SAT_OP_MIGRATE__INIT;
    struct arena arena = {0};

    message.version = unconst(version);
    message.stmts = arena_new_array(&arena, group->count, sizeof *message.stmts);
    for (size_t i = 0; i < group->count; i++)
        message.stmts[message.n_stmts++] =
            fill_statement(&arena, script, &script->statements[group->first + i], terminator);
    if (group->table != NULL) {
        message.affected_entity_case = ELECTRIC__SATELLITE__SAT_OP_MIGRATE__AFFECTED_ENTITY_TABLE;
        message.table = fill_table(&arena, group->table);
    } else if (group->new_type != NULL) {
        message.affected_entity_case =
            ELECTRIC__SATELLITE__SAT_OP_MIGRATE__AFFECTED_ENTITY_ENUM_TYPE;
        message.enum_type = fill_enum(&arena, group->new_type);
    }
    electric__satellite__sat_op_migrate__pack_to_buffer(&message, &sink.base);
    flush_base64(&sink);
    arena_clear(&arena);
}
