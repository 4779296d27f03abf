#include "server/api/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/memory.h"
#include "tests/support/suite.h"

#define ROOM ((size_t)64 * 1024 * 1024)

static struct buffer out;
static struct error error;

static uint32_t u16_at(size_t at)
{
    const uint8_t *bytes = buffer_peek(&out).data + at;

    ck_assert_uint_le(at + 2, buffer_len(&out));
    return (uint32_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t u32_at(size_t at)
{
    return u16_at(at) | u16_at(at + 2) << 16;
}

static void finish(struct zip *zip)
{
    while (zip_finish(zip, &out))
        ;
    zip_free(zip);
}

/* Where the directory begins, by the end record, which has no comment here. */
static size_t directory(uint32_t *count)
{
    size_t end = buffer_len(&out) - 22;

    ck_assert_uint_eq(u32_at(end), 0x06054b50);
    *count = u16_at(end + 10);
    ck_assert_uint_eq(u32_at(end + 16) + u32_at(end + 12), end);
    return u32_at(end + 16);
}

static void assert_content(size_t header, const char *expected)
{
    size_t packed = u32_at(header + 18), size = u32_at(header + 22);
    const uint8_t *data = buffer_peek(&out).data + header + 30 + u16_at(header + 26);
    uint8_t *plain = mem_new(size + 1);
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)packed};

    if (u16_at(header + 8) == 0) {
        memcpy(plain, data, packed);
    } else {
        stream.next_out = plain;
        stream.avail_out = (uInt)size + 1;
        ck_assert_int_eq(inflateInit2(&stream, -15), Z_OK);
        ck_assert_int_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
        (void)inflateEnd(&stream);
    }
    ck_assert_uint_eq(size, strlen(expected));
    ck_assert_mem_eq(plain, expected, size);
    ck_assert_uint_eq(u32_at(header + 14), (uint32_t)crc32_z(0, plain, size));
    free(plain);
}

static void add(struct zip *zip, const char *name, const char *content, int64_t at)
{
    ck_assert_int_eq(zip_add(zip, name, bytes_of_string(content), at, &out, &error), STATUS_OK);
}

START_TEST(an_archive_without_files_is_an_end_record)
{
    uint32_t count;

    buffer_init(&out, ROOM);
    finish(zip_new());
    ck_assert_uint_eq(buffer_len(&out), 22);
    ck_assert_uint_eq(directory(&count), 0);
    ck_assert_uint_eq(count, 0);
    buffer_clear(&out);
}
END_TEST

START_TEST(files_come_back_as_they_were)
{
    static const char long_text[] =
        "CREATE TABLE items (id INTEGER); CREATE TABLE items (id INTEGER);";
    static const char *const contents[] = {"", "x", "incompressible?", long_text};
    struct zip *zip = zip_new();
    uint32_t count;
    size_t at;

    buffer_init(&out, ROOM);
    for (int i = 0; i < 4; i++) {
        char name[] = "0/file";

        name[0] = (char)('0' + i);
        add(zip, name, contents[i], 1714979290);
    }
    finish(zip);
    at = directory(&count);
    ck_assert_uint_eq(count, 4);
    for (int i = 0; i < 4; i++) {
        size_t header = u32_at(at + 42);

        ck_assert_uint_eq(u32_at(at), 0x02014b50);
        ck_assert_uint_eq(u32_at(header), 0x04034b50);
        ck_assert_int_eq(buffer_peek(&out).data[header + 30], '0' + i);
        assert_content(header, contents[i]);
        at += 46 + u16_at(at + 28);
    }
    buffer_clear(&out);
}
END_TEST

START_TEST(times_are_those_given)
{
    static const struct {
        int64_t at;
        uint32_t date, time;
    } cases[] = {
        {1714979290, (2024 - 1980) << 9 | 5 << 5 | 6,
         7 << 11 | 8 << 5 | 5}, /* 2024-05-06 07:08:10 */
        {0, 1 << 5 | 1, 0},
        {-5, 1 << 5 | 1, 0},
        {4354819199 + 400 * 86400, 127 << 9 | 2 << 5 | 4, 23 << 11 | 59 << 5 | 29},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct zip *zip = zip_new();

        buffer_init(&out, ROOM);
        add(zip, "a", "b", cases[i].at);
        if (i < 3) {
            ck_assert_uint_eq(u16_at(12), cases[i].date);
            ck_assert_uint_eq(u16_at(10), cases[i].time);
        } else {
            ck_assert_uint_eq(u16_at(12) >> 9, 127); /* 2107 is the last year */
        }
        zip_free(zip);
        buffer_clear(&out);
    }
}
END_TEST

START_TEST(what_does_not_fit_changes_nothing)
{
    static const uint8_t zeros[1000];
    struct zip *zip = zip_new();
    uint32_t count;

    buffer_init(&out, 200);
    add(zip, "a", "first", 0);
    ck_assert_int_eq(zip_add(zip, "b", bytes_of(zeros, sizeof(zeros)), 0, &out, &error),
                     STATUS_FULL);
    buffer_set_capacity(&out, ROOM);
    finish(zip);
    (void)directory(&count);
    ck_assert_uint_eq(count, 1);
    buffer_clear(&out);
}
END_TEST

START_TEST(the_directory_comes_in_parts)
{
    struct zip *zip = zip_new();
    uint32_t count;
    int parts = 1;

    buffer_init(&out, ROOM);
    for (int i = 0; i < 1000; i++)
        add(zip, "name", "content", 0);
    while (zip_finish(zip, &out))
        parts++;
    ck_assert_int_gt(parts, 1);
    ck_assert(!zip_finish(zip, &out));
    (void)directory(&count);
    ck_assert_uint_eq(count, 1000);
    ck_assert_int_eq(zip_add(zip, "late", bytes_of("", 0), 0, &out, &error), STATUS_FULL);
    zip_free(zip);
    buffer_clear(&out);
}
END_TEST

/* 65,535 files are more than the plain end record can tell. */
START_TEST(very_many_files_have_a_zip64_end)
{
    struct zip *zip = zip_new();
    size_t locator, end;

    buffer_init(&out, ROOM);
    for (int i = 0; i < 65600; i++)
        add(zip, "n", "c", 0);
    finish(zip);
    locator = buffer_len(&out) - 22 - 20;
    ck_assert_uint_eq(u32_at(locator), 0x07064b50);
    ck_assert_uint_eq(u16_at(buffer_len(&out) - 22 + 10), 0xffff);
    end = u32_at(locator + 8);
    ck_assert_uint_eq(u32_at(end), 0x06064b50);
    ck_assert_uint_eq(u32_at(end + 32), 65600);
    ck_assert_uint_eq(u32_at(u32_at(end + 48)), 0x02014b50);
    buffer_clear(&out);
}
END_TEST

SUITE("zip", TEST(an_archive_without_files_is_an_end_record), TEST(files_come_back_as_they_were),
      TEST(times_are_those_given), TEST(what_does_not_fit_changes_nothing),
      TEST(the_directory_comes_in_parts), TEST(very_many_files_have_a_zip64_end))
