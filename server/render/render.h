/* Migrations of the ledger as client applications get them: SQL in their dialect, and metadata.
 *
 * Pure functions: ops in, text out. What a dialect cannot take is left out and listed in the
 * metadata, so that the SQL always applies to what the migrations before it have made. */
#ifndef SERVER_RENDER_RENDER_H
#define SERVER_RENDER_RENDER_H

#include "common/buffer.h"
#include "common/status.h"

#include <stdint.h>

enum render_dialect { RENDER_SQLITE, RENDER_POSTGRES };

/* A row of electric.migrations. */
struct render_migration {
    const char *version;
    const char *label; /* NULL: none */
    struct bytes ops;  /* JSON text, UTF-8 */
};

/* Appends to `sql` the statements of migration.sql, each ended by ";\n" and empty when nothing is
 * left for this dialect, and to `metadata` the JSON of metadata.json:
 *
 *     {"format": "SatOpMigrate", "ops": [base64 …], "protocol_version": "Electric.Satellite",
 *      "version": …, "label": …, "omitted": […], "rules": […]}
 *
 * with the last three only when they are not empty. `omitted` lists what this dialect does not get,
 * as {"table", "index" or "column" or "foreign_key" …, "reason"}; `rules` the ops of ELECTRIC GRANT
 * and the like, as they stand in the ledger. Either buffer may be NULL.
 *
 * STATUS_INVALID when the ops are not what the engine writes, STATUS_FULL when a buffer is too
 * small; what was appended by then is taken back. */
enum status render_migration(const struct render_migration *migration, enum render_dialect dialect,
                             struct buffer *sql, struct buffer *metadata, struct error *error);

/* Appends one event of the live stream, a JSON object without a line break:
 *
 *     {"seq": 7, "version": …, "label": …, "sql": [statement …], "ops": [base64 …],
 *      "omitted": […], "rules": […]}
 *
 * `sql` has the statements of migration.sql without their ends. */
enum status render_event(uint64_t seq, const struct render_migration *migration,
                         enum render_dialect dialect, struct buffer *json, struct error *error);

#endif
