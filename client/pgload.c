/* Statements up, rows down. */
#include "client/pgload.h"

#include <string.h>

/* 4 MiB under way fill 300 Mbit/s over 100 ms. */
#define AHEAD_MAX 64u

static const char beginning[] = "SELECT '";
static const char ending[] = "' IS NULL"; /* and the NUL that ends a Query */
/* 4 GiB, of which hardly anybody waits for the end. */
static const char rows[] = "SELECT repeat('x', 65536) FROM generate_series(1, 65536)";

static double rate(const struct pgload *load, int64_t now)
{
    int64_t took = now - load->began_at;

    return took > 0 ? (double)load->bytes * 1000000 / (double)took : 0;
}

/* ---- towards Postgres --------------------------------------------------------------------------
 */

/* Type and length of a Query (Postgres documentation, "Message Formats"). */
static void put_header(uint8_t out[5], uint32_t size)
{
    uint32_t len = size - 1;

    out[0] = 'Q';
    out[1] = (uint8_t)(len >> 24);
    out[2] = (uint8_t)(len >> 16);
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
}

void pgload_init(struct pgload *load, int64_t duration, int64_t now)
{
    memset(load, 0, sizeof *load);
    load->duration = duration;
    load->began_at = now;
    memset(load->statement, 'x', sizeof load->statement);
    put_header(load->statement, sizeof load->statement);
    memcpy(load->statement + 5, beginning, sizeof beginning - 1);
    memcpy(load->statement + sizeof load->statement - sizeof ending, ending, sizeof ending);
}

static size_t put_statement(struct pgload *load, uint8_t *out, size_t len)
{
    struct bytes rest;

    if (load->left == 0) {
        load->left = sizeof load->statement;
        load->ahead++;
    }
    rest = bytes_of(load->statement + sizeof load->statement - load->left, load->left);
    rest = bytes_first(rest, len);
    memcpy(out, rest.data, rest.len);
    load->left -= (uint32_t)rest.len;
    return rest.len;
}

/* Small enough for any place there is. */
static size_t put_question(struct pgload *load, uint8_t *out, size_t len)
{
    size_t size = 5 + sizeof rows;

    if (len < size)
        return 0;
    put_header(out, (uint32_t)size);
    memcpy(out + 5, rows, sizeof rows);
    load->ahead = 1;
    return size;
}

bool pgload_has_output(const struct pgload *load, int64_t now)
{
    bool more = load->stage == PGLOAD_UP && now - load->began_at < load->duration;

    /* What is begun must end. */
    if (load->stage == PGLOAD_DOWN)
        return load->ahead == 0;
    return load->left > 0 ||
           (load->stage == PGLOAD_UP && (more ? load->ahead < AHEAD_MAX : load->ahead == 0));
}

size_t pgload_output(struct pgload *load, uint8_t *out, size_t len, int64_t now)
{
    if (!pgload_has_output(load, now))
        return 0;
    return load->stage == PGLOAD_DOWN ? put_question(load, out, len)
                                      : put_statement(load, out, len);
}

/* ---- from Postgres -----------------------------------------------------------------------------
 */

static void on_statement_done(struct pgload *load, int64_t now)
{
    if (load->ahead == 0)
        return;
    load->ahead--;
    load->bytes += sizeof load->statement;
    if (load->stage == PGLOAD_UP && now - load->began_at >= load->duration)
        load->stage = PGLOAD_WAIT;
    if (load->stage == PGLOAD_WAIT && load->ahead == 0 && load->left == 0) {
        load->up = rate(load, now);
        load->stage = PGLOAD_DOWN;
        load->began_at = now;
        load->bytes = 0;
    }
}

static void finish(struct pgload *load, int64_t now)
{
    load->down = rate(load, now);
    load->stage = PGLOAD_OVER;
}

void pgload_input(struct pgload *load, struct bytes in, int64_t now)
{
    bool down = load->stage == PGLOAD_DOWN;
    struct bytes piece;

    if (down)
        load->bytes += in.len;
    while (load->stage < PGLOAD_OVER && pgscan_next(&load->scan, &in, &piece)) {
        if (load->scan.begins && pgscan_type(&load->scan) == 'E')
            load->stage = PGLOAD_FAILED;
        else if (load->scan.begins && pgscan_type(&load->scan) == 'Z' && down)
            finish(load, now);
        else if (load->scan.begins && pgscan_type(&load->scan) == 'Z')
            on_statement_done(load, now);
    }
    if (down && load->stage == PGLOAD_DOWN && now - load->began_at >= load->duration)
        finish(load, now);
}
