/* One migration: its SQL, its metadata, its event. */
#include "server/render/render.h"

enum status render_migration(const struct render_migration *migration, enum render_dialect dialect,
                             struct buffer *sql, struct buffer *metadata, struct error *error)
{
    (void)migration;
    (void)dialect;
    (void)sql;
    (void)metadata;
    return error_set(error, STATUS_INVALID, "0A000", "not written yet");
}

enum status render_event(uint64_t seq, const struct render_migration *migration,
                         enum render_dialect dialect, struct buffer *json, struct error *error)
{
    (void)seq;
    return render_migration(migration, dialect, json, NULL, error);
}
