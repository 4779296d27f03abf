/* How far a Postgres client gets, against answers by hand. */
#include <string.h>

#include "client/pgprobe.h"
#include "tests/support/suite.h"

static const char auth_ok[] = "R\0\0\0\x08\0\0\0\0";
static const char auth_sasl[] = "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0";
static const char auth_md5[] = "R\0\0\0\x0c\0\0\0\x05\x01\x02\x03\x04";
static const char auth_final[] = "R\0\0\0\x0a\0\0\0\x0cv=";
static const char auth_gss[] = "R\0\0\0\x08\0\0\0\x07";
static const char version[] = "S\0\0\0\x18server_version\00015.4\0";
static const char ready[] = "Z\0\0\0\x05I";
static const char no_table[] = "E\0\0\0\x1bSERROR\0C42P01\0Mno such\0";
static const char no_syntax[] = "E\0\0\0\x1a"
                                "SERROR\0C42601\0Msyntax\0";
static const char no_entry[] = "E\0\0\0\x1eSFATAL\0C28P01\0Mwrong\0Hhint\0";
static const char lost[] = "E\0\0\0\x19SFATAL\0C08006\0Mgone!\0";

/* The length field and the zero that ends an error's fields are the compiler's to count. */
static struct bytes fix(char *copy, const char *literal, size_t len)
{
    memcpy(copy, literal, len);
    if (copy[0] == 'E')
        copy[len++] = '\0';
    copy[3] = (char)((len - 1) >> 8);
    copy[4] = (char)(len - 1);
    return bytes_of(copy, len);
}

static void hear(struct pgprobe *probe, const char *literal, size_t len)
{
    char copy[200];
    struct bytes message = fix(copy, literal, len);

    /* Byte by byte: where messages are cut must not matter. */
    for (size_t i = 0; i < message.len; i++)
        pgprobe_input(probe, bytes_of(message.data + i, 1));
}

#define HEAR(probe, literal) hear((probe), (literal), sizeof(literal) - 1)

static uint8_t take_type(struct pgprobe *probe)
{
    struct bytes out = buffer_peek(pgprobe_output(probe));
    uint8_t type = 0;
    uint32_t len = 0;

    ck_assert(bytes_take_u8(&out, &type));
    ck_assert(bytes_take_u32(&out, &len));
    ck_assert_uint_ge(out.len + 4, len);
    buffer_consume(pgprobe_output(probe), 1 + len);
    return type;
}

static struct pgprobe *started(const char *password)
{
    struct pgprobe *probe = pgprobe_new("me", "app", password, PGPROBE_LOGIN);
    struct bytes out = buffer_peek(pgprobe_output(probe));
    uint32_t len = 0;
    uint32_t protocol = 0;

    ck_assert(bytes_take_u32(&out, &len));
    ck_assert(bytes_take_u32(&out, &protocol));
    ck_assert_uint_eq(len, buffer_len(pgprobe_output(probe)));
    ck_assert_uint_eq(protocol, 196608);
    ck_assert_uint_lt(bytes_find_ignoring_case(out, "app"), out.len);
    buffer_consume(pgprobe_output(probe), len);
    return probe;
}

static struct pgprobe *logged_in(void)
{
    struct pgprobe *probe = started(NULL);

    HEAR(probe, auth_ok);
    HEAR(probe, version);
    ck_assert_uint_eq(buffer_len(pgprobe_output(probe)), 0);
    HEAR(probe, ready);
    ck_assert_int_eq(pgprobe_stage(probe), PGPROBE_ASKING);
    ck_assert_uint_eq(take_type(probe), 'Q');
    ck_assert_str_eq(pgprobe_result(probe)->version, "15.4");
    return probe;
}

START_TEST(a_migrations_proxy_knows_the_statement)
{
    struct pgprobe *probe = logged_in();

    HEAR(probe, no_table);
    HEAR(probe, ready);
    ck_assert(pgprobe_result(probe)->asked);
    ck_assert(pgprobe_result(probe)->ddlx);
    ck_assert_uint_eq(take_type(probe), 'X');
    ck_assert_int_eq(pgprobe_stage(probe), PGPROBE_OVER);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_OK);
    pgprobe_free(probe);
}
END_TEST

START_TEST(a_session_can_be_left_to_others)
{
    struct pgprobe *probe = pgprobe_new("me", "app", NULL, PGPROBE_STAY);

    buffer_clear(pgprobe_output(probe));
    HEAR(probe, auth_ok);
    HEAR(probe, ready);
    ck_assert_uint_eq(take_type(probe), 'Q');
    HEAR(probe, no_table);
    HEAR(probe, ready);
    ck_assert_int_eq(pgprobe_stage(probe), PGPROBE_OVER);
    ck_assert_uint_eq(buffer_len(pgprobe_output(probe)), 0);
    pgprobe_free(probe);
}
END_TEST

START_TEST(plain_postgres_does_not)
{
    struct pgprobe *probe = logged_in();

    HEAR(probe, no_syntax);
    HEAR(probe, ready);
    ck_assert(pgprobe_result(probe)->asked);
    ck_assert(!pgprobe_result(probe)->ddlx);
    pgprobe_free(probe);
}
END_TEST

START_TEST(a_lost_session_says_nothing_of_it)
{
    struct pgprobe *probe = logged_in();

    HEAR(probe, lost);
    ck_assert(!pgprobe_result(probe)->asked);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_UNAVAILABLE);
    ck_assert_str_eq(pgprobe_result(probe)->error.message, "gone!");
    pgprobe_free(probe);
}
END_TEST

START_TEST(without_a_password_the_answer_is_enough)
{
    struct pgprobe *probe = started(NULL);

    HEAR(probe, auth_sasl);
    ck_assert(pgprobe_result(probe)->answered);
    ck_assert(pgprobe_result(probe)->password_asked);
    ck_assert(!pgprobe_result(probe)->logged_in);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_OK);
    ck_assert_uint_eq(take_type(probe), 'X');
    pgprobe_free(probe);
}
END_TEST

START_TEST(a_wrong_password_is_the_servers_word)
{
    struct pgprobe *probe = started("secret");

    HEAR(probe, auth_md5);
    ck_assert(bytes_find_ignoring_case(buffer_peek(pgprobe_output(probe)), "md5") == 5);
    ck_assert_uint_eq(take_type(probe), 'p');
    HEAR(probe, no_entry);
    ck_assert(pgprobe_result(probe)->answered);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_DENIED);
    ck_assert_str_eq(pgprobe_result(probe)->error.hint, "hint");
    pgprobe_free(probe);
}
END_TEST

START_TEST(what_is_not_known_is_not_tried)
{
    struct pgprobe *probe = started("secret");

    HEAR(probe, auth_gss);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_INVALID);
    ck_assert_uint_eq(take_type(probe), 'X');
    pgprobe_free(probe);
}
END_TEST

START_TEST(a_refusal_by_the_tunnel_is_no_answer)
{
    struct pgprobe *probe = started("secret");

    HEAR(probe, lost);
    ck_assert(!pgprobe_result(probe)->answered);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_UNAVAILABLE);
    pgprobe_free(probe);
}
END_TEST

START_TEST(what_is_no_postgres_is_called_so)
{
    static const struct bytes others[] = {
        {(const uint8_t *)"SSH-2.0-OpenSSH_9.2\r\n", 21},
        {(const uint8_t *)"HTTP/1.1 200 OK\r\n\r\n", 19},
        {(const uint8_t *)"R\xff\xff\xff\xff", 5},
        {(const uint8_t *)"R\0\0\0\0", 5},
        {(const uint8_t *)"R\0\0\0\x06\0\0", 7},
        {(const uint8_t *)"Z\0\0\0\x05I", 6},
    };
    struct pgprobe *probe = started("secret");

    pgprobe_input(probe, others[_i]);
    ck_assert_int_eq(pgprobe_stage(probe), PGPROBE_OVER);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_INVALID);
    ck_assert(!pgprobe_result(probe)->answered);
    pgprobe_free(probe);
}
END_TEST

START_TEST(a_password_is_asked_for_once)
{
    struct pgprobe *probe = started("secret");

    HEAR(probe, auth_sasl);
    ck_assert_uint_eq(take_type(probe), 'p');
    HEAR(probe, auth_sasl);
    ck_assert_uint_eq(take_type(probe), 'X');
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_INVALID);
    pgprobe_free(probe);
}
END_TEST

/* AuthenticationOk in the midst of the exchange, or its end without its middle. */
START_TEST(who_asks_for_a_proof_gives_one)
{
    struct pgprobe *probe = started("secret");

    HEAR(probe, auth_sasl);
    HEAR(probe, auth_ok);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_INVALID);
    ck_assert(!pgprobe_result(probe)->logged_in);
    pgprobe_free(probe);
    probe = started("secret");
    HEAR(probe, auth_sasl);
    HEAR(probe, auth_final);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_INVALID);
    pgprobe_free(probe);
}
END_TEST

START_TEST(a_statement_without_an_answer_is_no_postgres_s)
{
    struct pgprobe *probe = logged_in();

    HEAR(probe, ready);
    ck_assert(!pgprobe_result(probe)->asked);
    ck_assert_int_eq(pgprobe_result(probe)->failure, STATUS_INVALID);
    pgprobe_free(probe);
}
END_TEST

START_TEST(a_terminal_is_not_written_to_by_a_server)
{
    struct pgprobe *probe = started("secret");

    HEAR(probe, "S\0\0\0\x18server_version\0\xc2\x9b"
                "2J\xff\0");
    ck_assert_str_eq(pgprobe_result(probe)->version, "  2J?");
    HEAR(probe, "E\0\0\0\x1a"
                "C42601\0Ma\x1b[2J\0");
    ck_assert_str_eq(pgprobe_result(probe)->error.message, "a [2J");
    pgprobe_free(probe);
}
END_TEST

SUITE("client_pgprobe", TEST(a_migrations_proxy_knows_the_statement),
      TEST(a_session_can_be_left_to_others), TEST(plain_postgres_does_not),
      TEST(a_lost_session_says_nothing_of_it), TEST(without_a_password_the_answer_is_enough),
      TEST(a_wrong_password_is_the_servers_word), TEST(what_is_not_known_is_not_tried),
      TEST(a_refusal_by_the_tunnel_is_no_answer), LOOP(what_is_no_postgres_is_called_so, 0, 6),
      TEST(a_password_is_asked_for_once), TEST(who_asks_for_a_proof_gives_one),
      TEST(a_statement_without_an_answer_is_no_postgres_s),
      TEST(a_terminal_is_not_written_to_by_a_server))
