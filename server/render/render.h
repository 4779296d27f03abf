/* Migrations of the ledger as client applications get them: SQL in their dialect, and metadata.
 *
 * Pure functions: ops in, text out. What a dialect cannot take is left out and listed, so that the
 * SQL always applies to what the migrations before it have made. */
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

/* All of them: STATUS_INVALID when the ops are not what the engine writes, STATUS_FULL when a
 * buffer is too small, which has then failed. What was appended by then is taken back. */

/* Appends to `sql` the statements of migration.sql, each ended by ";\n", with a blank line between
 * them; nothing when nothing is left for this dialect. Appends to `metadata` the JSON of
 * metadata.json:
 *
 *     {"format": "SatOpMigrate", "ops": [base64 …], "protocol_version": "Electric.Satellite",
 *      "version": …}
 *
 * Each of `ops` is a SatOpMigrate (satellite.proto) of the statements that one change made. There
 * are no other keys, because the client libraries refuse a file that has any. Either buffer may be
 * NULL. */
enum status render_migration(const struct render_migration *migration, enum render_dialect dialect,
                             struct buffer *sql, struct buffer *metadata, struct error *error);

/* Appends what else is to be told of the migration (details.json beside the two other files), and
 * nothing when there is nothing to tell:
 *
 *     {"label": …, "omitted": […], "rules": […]}
 *
 * each key only when it is not empty. `omitted` is what this dialect does not get, or not fully:
 * {"table": …, "reason": …} and one of "column", "primary_key", "foreign_key", "index", with its
 * name; or
 * {"sqlite": statements, "reason": …}. `rules` are the ops of ELECTRIC GRANT, REVOKE, ASSIGN and
 * UNASSIGN as they stand in the ledger. */
enum status render_details(const struct render_migration *migration, enum render_dialect dialect,
                           struct buffer *json, struct error *error);

/* Appends one event of the live stream, a JSON object without a line break:
 *
 *     {"seq": 7, "version": …, "sql": [statement …], "ops": [base64 …],
 *      "label": …, "omitted": […], "rules": […]}
 *
 * `sql` has the statements of migration.sql without their ends; the others are as above. */
enum status render_event(uint64_t seq, const struct render_migration *migration,
                         enum render_dialect dialect, struct buffer *json, struct error *error);

#endif
