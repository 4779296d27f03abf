/* SCRAM-SHA-256 from the client's side: the vector of RFC 7677, and answers that are none. */
#include "client/scram.h"
#include "tests/support/suite.h"

static const char server_first[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                   "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

static struct scram *example(struct buffer *out)
{
    struct scram *scram = scram_new("pencil");

    buffer_init(out, 4096);
    scram_set_nonce(scram, "rOprNGfwEbeRWgbNEkqO", "user");
    return scram;
}

START_TEST(follows_the_published_exchange)
{
    struct buffer out;
    struct error error;
    struct scram *scram = example(&out);

    scram_begin(scram, &out);
    ck_assert(bytes_equal_string(buffer_peek(&out), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    buffer_clear(&out);
    ck_assert_int_eq(scram_answer(scram, bytes_of_string(server_first), &out, &error), STATUS_OK);
    ck_assert(bytes_equal_string(buffer_peek(&out),
                                 "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                 "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
    ck_assert_int_eq(scram_verify(scram,
                                  bytes_of_string("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
                                  &error),
                     STATUS_OK);
    buffer_clear(&out);
    scram_free(scram);
}
END_TEST

START_TEST(a_server_that_does_not_know_the_password_is_told)
{
    static const char *const finals[] = {"", "e=invalid-proof",
                                         "v=", "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="};
    struct buffer out;
    struct error error;
    struct scram *scram = example(&out);

    ck_assert_int_eq(scram_answer(scram, bytes_of_string(server_first), &out, &error), STATUS_OK);
    for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++)
        ck_assert_int_eq(scram_verify(scram, bytes_of_string(finals[i]), &error), STATUS_DENIED);
    buffer_clear(&out);
    scram_free(scram);
}
END_TEST

START_TEST(malformed_challenges_are_refused)
{
    static const char *const firsts[] = {
        "",
        "r=",
        "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",  /* nothing added */
        "r=sOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", /* not ours */
        "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==",
        "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    };

    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct buffer out;
        struct error error;
        struct scram *scram = example(&out);

        ck_assert_int_eq(scram_answer(scram, bytes_of_string(firsts[i]), &out, &error),
                         STATUS_INVALID);
        ck_assert_uint_eq(buffer_len(&out), 0);
        scram_free(scram);
    }
}
END_TEST

SUITE("client_scram", TEST(follows_the_published_exchange),
      TEST(a_server_that_does_not_know_the_password_is_told),
      TEST(malformed_challenges_are_refused))
