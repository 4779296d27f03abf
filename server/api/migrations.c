/* GET /api/migrations: the ledger as a zip archive, read page by page as the client takes it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/api/api_state.h"
#include "server/api/etag.h"
#include "server/api/zip.h"
#include "server/ledger_row.h"
#include "server/request.h"

enum {
    DOWNLOADS_MAX = 64,
    ROWS_A_TURN = 32, /* then other connections have theirs */
    NAME_SIZE = LEDGER_VERSION_MAX + 16,
    SEQ_SIZE = 24,
};
#define PIECE_MAX ((size_t)48 * 1024 * 1024) /* one migration in the archive */

static const struct log_context log_as = {.role = "api"};

/* What an archive will be made of. A label may be added to a migration later, but only once: so the
 * number of migrations without one tells, beside the head, whether anything has changed. $1 is the
 * version that the client has, or null. */
#define EXTENT_SQL                                                                  \
    "SELECT h.seq, encode(h.hash, 'hex'),"                                          \
    " (SELECT count(*) FROM electric.migrations m WHERE m.label IS NULL),"          \
    " CASE WHEN $1::text IS NULL THEN 0"                                            \
    "      ELSE (SELECT m.seq FROM electric.migrations m WHERE m.version = $1) END" \
    " FROM electric.head h"

struct download {
    struct reader_question question;
    struct api *api;
    struct exchange *exchange;
    enum render_dialect dialect;
    char *version;       /* that the client has, or NULL */
    char *if_none_match; /* If-None-Match, or NULL */
    char after[SEQ_SIZE], until[SEQ_SIZE];
    char until_hash[LEDGER_HASH_MAX];
    PGresult *page; /* that is being written, or NULL */
    int row;        /* the next of it */
    bool all_read;  /* there is no page after this one */
    struct zip *zip;
    struct buffer sql, metadata, details, out; /* emptied after each use */
};

/* The exchange is done, or gone. */
static void free_download(struct download *download)
{
    reader_forget(download->api->reader, &download->question);
    download->api->downloads--;
    PQclear(download->page);
    zip_free(download->zip);
    buffer_clear(&download->sql);
    buffer_clear(&download->metadata);
    buffer_clear(&download->details);
    buffer_clear(&download->out);
    free(download->version);
    free(download->if_none_match);
    free(download);
}

static void fail(struct download *download, const struct error *error)
{
    log_error(&log_as, "could not make an archive of migrations: %s", error->message);
    exchange_abort(download->exchange);
    free_download(download);
}

/* Pages */

static void read_page(struct download *download);

static void on_page_failed(struct reader_question *question, const struct error *error)
{
    fail(lws_container_of(question, struct download, question), error);
}

/* Empties `content`. */
static enum status add_file(struct download *download, const struct ledger_row *row,
                            const char *file, struct buffer *content, struct error *error)
{
    char name[NAME_SIZE];
    enum status status;

    (void)snprintf(name, sizeof(name), "%s/%s", row->version, file);
    status = zip_add(download->zip, name, buffer_peek(content), row->at, &download->out, error);
    buffer_clear(content);
    return status;
}

static enum status add_migration(struct download *download, const struct ledger_row *row,
                                 struct error *error)
{
    const struct render_migration migration = {
        .version = row->version,
        .label = *row->label != '\0' ? row->label : NULL,
        .ops = row->ops,
    };
    enum status status =
        render_migration(&migration, download->dialect, &download->sql, &download->metadata, error);

    if (status == STATUS_OK)
        status = render_details(&migration, download->dialect, &download->details, error);
    if (status == STATUS_OK)
        status = add_file(download, row, "migration.sql", &download->sql, error);
    if (status == STATUS_OK)
        status = add_file(download, row, "metadata.json", &download->metadata, error);
    if (status == STATUS_OK && buffer_len(&download->details) > 0)
        status = add_file(download, row, "details.json", &download->details, error);
    return status;
}

static void send_out(struct download *download)
{
    exchange_write(download->exchange, buffer_peek(&download->out));
    buffer_clear(&download->out);
}

/* As much as fits into the exchange's queue, and not much at a time. */
static enum status write_rows(struct download *download, struct error *error)
{
    enum status status = STATUS_OK;

    for (int turn = 0;
         status == STATUS_OK && turn < ROWS_A_TURN &&
         download->row < ledger_page_count(download->page) && exchange_has_room(download->exchange);
         turn++) {
        struct ledger_row row = ledger_page_row(download->page, download->row++);

        status = add_migration(download, &row, error);
        send_out(download);
    }
    return status;
}

static void write_directory(struct download *download)
{
    bool more = true;

    while (more && exchange_has_room(download->exchange)) {
        more = zip_finish(download->zip, &download->out);
        send_out(download);
    }
    if (more)
        return;
    exchange_end(download->exchange);
    free_download(download);
}

static void on_room(void *owner)
{
    struct download *download = owner;
    struct error error;

    if (download->page != NULL && write_rows(download, &error) != STATUS_OK) {
        fail(download, &error);
        return;
    }
    if (download->page != NULL && download->row == ledger_page_count(download->page)) {
        PQclear(download->page);
        download->page = NULL;
        if (!download->all_read)
            read_page(download);
    }
    if (download->page == NULL && download->all_read)
        write_directory(download);
    else if (download->page != NULL)
        exchange_ask_room(download->exchange);
}

/* False: the ledger is another one than when the download began, and does not lead to the migration
 * that was the newest then. Hashes chain, so that one's tells of all before it. */
static bool advance(struct download *download, const PGresult *page)
{
    int count = ledger_page_count(page);
    struct ledger_row last;

    if (count == 0)
        return false;
    last = ledger_page_row(page, count - 1);
    (void)snprintf(download->after, sizeof(download->after), "%" PRIu64, last.seq);
    download->all_read = strcmp(download->after, download->until) == 0;
    return !download->all_read || strcmp(last.hash, download->until_hash) == 0;
}

static void on_page(struct reader_question *question, PGresult *page)
{
    struct download *download = lws_container_of(question, struct download, question);
    struct error error;

    download->page = page;
    download->row = 0;
    if (advance(download, page)) {
        exchange_ask_room(download->exchange);
        return;
    }
    (void)error_set(&error, STATUS_INVALID, "XX001", "the ledger was replaced meanwhile");
    fail(download, &error);
}

static void read_page(struct download *download)
{
    download->question.sql = LEDGER_PAGE_SQL;
    download->question.count = 2;
    download->question.values[0] = download->after;
    download->question.values[1] = download->until;
    download->question.on_rows = on_page;
    download->question.on_failed = on_page_failed;
    reader_ask(download->api->reader, &download->question);
}

/* The beginning */

/* Equal archives have equal tags, whichever replica made them. */
static void make_tag(const struct download *download, const PGresult *extent, char tag[ETAG_SIZE])
{
    char *facts = mem_format("%s %s %s %s %s %s", ELECTRIC_VERSION, PQgetvalue(extent, 0, 0),
                             PQgetvalue(extent, 0, 1), PQgetvalue(extent, 0, 2),
                             api_dialect_name(download->dialect),
                             download->version != NULL ? download->version : "");

    etag_make(bytes_of_string(facts), tag);
    free(facts);
}

static void begin_archive(struct download *download, const char *headers)
{
    const struct reply head = {.status = 200, .type = "application/zip", .headers = headers};

    if (!exchange_begin(download->exchange, &head)) {
        free_download(download);
        return;
    }
    download->zip = zip_new();
    read_page(download);
}

static void on_extent(struct reader_question *question, PGresult *extent)
{
    struct download *download = lws_container_of(question, struct download, question);
    char tag[ETAG_SIZE], headers[128];
    bool known = PQntuples(extent) == 1 && !PQgetisnull(extent, 0, 3);

    if (!known) {
        api_refuse(download->exchange, 404, NULL, "unknown version \"%.100s\"",
                   download->version != NULL ? download->version : "");
        PQclear(extent);
        free_download(download);
        return;
    }
    make_tag(download, extent, tag);
    (void)snprintf(download->until, sizeof(download->until), "%s", PQgetvalue(extent, 0, 0));
    (void)snprintf(download->until_hash, sizeof(download->until_hash), "%s",
                   PQgetvalue(extent, 0, 1));
    (void)snprintf(download->after, sizeof(download->after), "%s", PQgetvalue(extent, 0, 3));
    PQclear(extent);
    (void)snprintf(headers, sizeof(headers), "ETag: %s\r\nCache-Control: private, no-cache\r\n",
                   tag);
    if (strcmp(download->after, download->until) == 0) {
        exchange_reply(download->exchange, &(struct reply){.status = 204, .body = ""});
        free_download(download);
    } else if (etag_is_known(download->if_none_match, tag)) {
        exchange_reply(download->exchange,
                       &(struct reply){.status = 304, .headers = headers, .body = ""});
        free_download(download);
    } else {
        begin_archive(download, headers);
    }
}

static void on_extent_failed(struct reader_question *question, const struct error *error)
{
    struct download *download = lws_container_of(question, struct download, question);

    api_refuse_unavailable(download->exchange, error);
    free_download(download);
}

static void on_gone(void *owner)
{
    free_download(owner);
}

static const struct exchange_events events = {.on_room = on_room, .on_gone = on_gone};

/* The argument `version`, or NULL; false with a refusal. */
static bool take_version(struct lws *wsi, struct exchange *exchange, char **version)
{
    *version = request_argument(wsi, "version");
    if (*version == NULL || bytes_is_utf8(bytes_of_string(*version)))
        return true;
    /* Nothing that Postgres could be asked for. */
    api_refuse(exchange, 404, NULL, "unknown version");
    free(*version);
    return false;
}

void api_migrations(struct api *api, struct lws *wsi, struct exchange *exchange)
{
    enum render_dialect dialect;
    struct download *download;
    char *version;

    if (!api_take_dialect(wsi, exchange, &dialect) || !take_version(wsi, exchange, &version))
        return;
    if (api->downloads >= DOWNLOADS_MAX) {
        api_refuse(exchange, 503, "Retry-After: 5\r\n", "too many downloads at once");
        free(version);
        return;
    }
    download = mem_new(sizeof(*download));
    api->downloads++;
    download->api = api;
    download->exchange = exchange;
    download->dialect = dialect;
    download->version = version;
    download->if_none_match = request_header(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH);
    buffer_init(&download->sql, PIECE_MAX);
    buffer_init(&download->metadata, PIECE_MAX);
    buffer_init(&download->details, PIECE_MAX);
    buffer_init(&download->out, PIECE_MAX);
    exchange_own(exchange, &events, download);

    download->question.sql = EXTENT_SQL;
    download->question.count = 1;
    download->question.values[0] = download->version;
    download->question.on_rows = on_extent;
    download->question.on_failed = on_extent_failed;
    reader_ask(api->reader, &download->question);
}
