/* Local headers, deflated contents, the central directory. Section numbers are APPNOTE.TXT's. */
#include "server/api/zip.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "common/memory.h"

enum {
    VERSION_NEEDED = 20,        /* 2.0: deflate, directories */
    VERSION_MADE = 3 << 8 | 63, /* Unix, 6.3 */
    FLAG_UTF8 = 1 << 11,
    METHOD_STORE = 0,
    METHOD_DEFLATE = 8,
    MODE = 0100644,
    LOCAL_HEADER = 30,
    NAME_MAX_LEN = 1024,
    FINISH_PART = 200, /* entries of the directory a call */
    COUNT_MAX_16 = 0xffff,
};
#define DIRECTORY_MAX ((size_t)16 * 1024 * 1024) /* remembered: about 300,000 files */
#define ARCHIVE_MAX UINT32_MAX                   /* beyond it offsets would need ZIP64 */
#define CONTENT_MAX ((size_t)1024 * 1024 * 1024)

/* What the directory says of a file, as it is remembered in front of its name. */
struct entry {
    uint32_t time; /* date and time as DOS has them */
    uint32_t crc;
    uint32_t packed;
    uint32_t size;
    uint32_t offset;
    uint16_t method;
    uint16_t name_len;
};

struct zip {
    z_stream deflater;
    struct buffer entries; /* struct entry and name, one after the other */
    uint64_t written;      /* of the archive */
    uint64_t directory_at;
    size_t count;
    bool finishing;
    bool finished;
};

struct zip *zip_new(void)
{
    struct zip *zip = mem_new(sizeof(*zip));

    /* No zlib header; a window of 8 KiB is plenty for files that small. */
    if (deflateInit2(&zip->deflater, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -13, 6,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        abort(); /* no memory: as everywhere */
    buffer_init(&zip->entries, DIRECTORY_MAX);
    return zip;
}

void zip_free(struct zip *zip)
{
    if (zip == NULL)
        return;
    (void)deflateEnd(&zip->deflater);
    buffer_clear(&zip->entries);
    free(zip);
}

/* Little-endian */

static void put_u16(struct buffer *out, uint64_t value)
{
    (void)buffer_append_u8(out, (uint8_t)value);
    (void)buffer_append_u8(out, (uint8_t)(value >> 8));
}

static void put_u32(struct buffer *out, uint64_t value)
{
    put_u16(out, value);
    put_u16(out, value >> 16);
}

static void put_u64(struct buffer *out, uint64_t value)
{
    put_u32(out, value);
    put_u32(out, value >> 32);
}

/* 4.4.6: MS-DOS date and time, of two seconds' precision. */
static uint32_t dos_time(int64_t at)
{
    time_t seconds = (time_t)at;
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < 80)
        return 1U << 21 | 1U << 16; /* 1 January 1980 */
    if (tm.tm_year > 80 + 127)
        tm.tm_year = 80 + 127;
    return (uint32_t)(tm.tm_year - 80) << 25 | (uint32_t)(tm.tm_mon + 1) << 21 |
           (uint32_t)tm.tm_mday << 16 | (uint32_t)tm.tm_hour << 11 | (uint32_t)tm.tm_min << 5 |
           (uint32_t)tm.tm_sec / 2;
}

/* The fields that local header and directory have in common: 4.3.7 and 4.3.12. */
static void put_facts(struct buffer *out, const struct entry *entry)
{
    put_u16(out, VERSION_NEEDED);
    put_u16(out, FLAG_UTF8);
    put_u16(out, entry->method);
    put_u32(out, entry->time);
    put_u32(out, entry->crc);
    put_u32(out, entry->packed);
    put_u32(out, entry->size);
    put_u16(out, entry->name_len);
    put_u16(out, 0); /* no extra field */
}

/* NULL when deflating does not make it smaller. */
static uint8_t *deflate_whole(struct zip *zip, struct bytes content, uint32_t *packed)
{
    uint8_t *memory = content.len > 0 ? mem_new(content.len) : NULL;
    z_stream *deflater = &zip->deflater;

    if (memory == NULL)
        return NULL;
    (void)deflateReset(deflater);
    deflater->next_in = (Bytef *)(uintptr_t)content.data;
    deflater->avail_in = (uInt)content.len;
    deflater->next_out = memory;
    deflater->avail_out = (uInt)content.len - 1;
    if (deflate(deflater, Z_FINISH) == Z_STREAM_END) {
        *packed = (uint32_t)deflater->total_out;
        return memory;
    }
    free(memory);
    return NULL;
}

static enum status refuse(struct error *error, const char *name)
{
    return error_set(error, STATUS_FULL, "54000", "the archive has no room for \"%s\"", name);
}

enum status zip_add(struct zip *zip, const char *name, struct bytes content, int64_t at,
                    struct buffer *out, struct error *error)
{
    struct bytes name_bytes = bytes_of_string(name);
    size_t before = buffer_len(out);
    struct entry entry;
    uint8_t *packed;

    if (zip->finishing || name_bytes.len > NAME_MAX_LEN || content.len > CONTENT_MAX ||
        zip->written > ARCHIVE_MAX - LOCAL_HEADER - name_bytes.len - content.len ||
        buffer_room(&zip->entries) < sizeof(entry) + name_bytes.len ||
        buffer_room(out) < LOCAL_HEADER + name_bytes.len + content.len)
        return refuse(error, name);
    entry = (struct entry){
        .time = dos_time(at),
        .crc = (uint32_t)crc32_z(0, content.data, content.len),
        .packed = (uint32_t)content.len,
        .size = (uint32_t)content.len,
        .offset = (uint32_t)zip->written,
        .name_len = (uint16_t)name_bytes.len,
    };
    packed = deflate_whole(zip, content, &entry.packed);
    entry.method = packed != NULL ? METHOD_DEFLATE : METHOD_STORE;

    put_u32(out, 0x04034b50);
    put_facts(out, &entry);
    (void)buffer_append(out, name_bytes);
    (void)buffer_append(out, packed != NULL ? bytes_of(packed, entry.packed) : content);
    free(packed);
    (void)buffer_append(&zip->entries, bytes_of(&entry, sizeof(entry)));
    (void)buffer_append(&zip->entries, name_bytes);
    zip->count++;
    zip->written += buffer_len(out) - before;
    return STATUS_OK;
}

/* The end */

static void put_directory_entry(struct zip *zip, struct buffer *out)
{
    struct bytes rest = buffer_peek(&zip->entries);
    struct entry entry;

    memcpy(&entry, rest.data, sizeof(entry));
    put_u32(out, 0x02014b50);
    put_u16(out, VERSION_MADE);
    put_facts(out, &entry);
    put_u16(out, 0); /* no comment */
    put_u16(out, 0); /* disk number */
    put_u16(out, 0); /* internal attributes */
    put_u32(out, (uint32_t)MODE << 16);
    put_u32(out, entry.offset);
    (void)buffer_append(out, bytes_of(rest.data + sizeof(entry), entry.name_len));
    buffer_consume(&zip->entries, sizeof(entry) + entry.name_len);
}

/* 4.3.14 and 4.3.15: only where the plain end record cannot hold the numbers. */
static void put_zip64_end(const struct zip *zip, uint64_t directory_size, struct buffer *out)
{
    put_u32(out, 0x06064b50);
    put_u64(out, 44); /* of what follows */
    put_u16(out, VERSION_MADE);
    put_u16(out, 45);
    put_u32(out, 0);
    put_u32(out, 0);
    put_u64(out, zip->count);
    put_u64(out, zip->count);
    put_u64(out, directory_size);
    put_u64(out, zip->directory_at);
    put_u32(out, 0x07064b50);
    put_u32(out, 0);
    put_u64(out, zip->directory_at + directory_size);
    put_u32(out, 1);
}

/* 4.3.16 */
static void put_end(const struct zip *zip, struct buffer *out)
{
    uint64_t size = zip->written - zip->directory_at;
    bool large = zip->count >= COUNT_MAX_16 || zip->written >= UINT32_MAX;
    uint64_t count = large ? COUNT_MAX_16 : zip->count;

    if (large)
        put_zip64_end(zip, size, out);
    put_u32(out, 0x06054b50);
    put_u16(out, 0);
    put_u16(out, 0);
    put_u16(out, count);
    put_u16(out, count);
    put_u32(out, large ? UINT32_MAX : size);
    put_u32(out, large ? UINT32_MAX : zip->directory_at);
    put_u16(out, 0);
}

bool zip_finish(struct zip *zip, struct buffer *out)
{
    size_t before = buffer_len(out);

    if (zip->finished)
        return false;
    if (!zip->finishing)
        zip->directory_at = zip->written;
    zip->finishing = true;
    for (int i = 0; i < FINISH_PART && buffer_len(&zip->entries) > 0; i++)
        put_directory_entry(zip, out);
    zip->written += buffer_len(out) - before;
    if (buffer_len(&zip->entries) == 0) {
        put_end(zip, out);
        zip->finished = true;
    }
    return !zip->finished;
}
