#include "server/client_address.h"

#include <string.h>

#include "tests/support/suite.h"

static struct networks networks;
static struct error error;

static struct client_address find(const char *trusted, const char *peer, const char *first,
                                  const char *second)
{
    struct bytes forwarded[2] = {bytes_of_string(first != NULL ? first : ""),
                                 bytes_of_string(second != NULL ? second : "")};
    struct client_address address;

    ck_assert_int_eq(networks_parse(&networks, trusted, &error), STATUS_OK);
    client_address_find(&address, peer, &networks, forwarded,
                        (first != NULL ? 1U : 0U) + (second != NULL ? 1U : 0U));
    networks_clear(&networks);
    return address;
}

static void found(const char *trusted, const char *peer, const char *first, const char *second,
                  const char *expected, bool single)
{
    struct client_address address = find(trusted, peer, first, second);

    ck_assert_str_eq(address.text, expected);
    ck_assert_msg(address.single == single, "%s of %s", expected, peer);
}

START_TEST(nobody_is_believed_who_is_not_trusted)
{
    found(NULL, "203.0.113.7", "198.51.100.1", NULL, "203.0.113.7", true);
    found("10.0.0.0/8", "11.0.0.1", "198.51.100.1", NULL, "11.0.0.1", true);
    found("10.0.0.0/8", "192.168.0.1", "198.51.100.1", NULL, "192.168.0.1", false);
}
END_TEST

START_TEST(the_rightmost_untrusted_entry_counts)
{
    found("10.0.0.0/8", "10.1.2.3", "1.1.1.1, 198.51.100.1", NULL, "198.51.100.1", true);
    found("10.0.0.0/8", "10.1.2.3", "1.1.1.1, 198.51.100.1,10.9.9.9", NULL, "198.51.100.1", true);
    found("10.0.0.0/8", "10.1.2.3", "1.1.1.1", "198.51.100.1", "198.51.100.1", true);
    found("10.0.0.0/8", "10.1.2.3", "198.51.100.1", "10.2.2.2", "198.51.100.1", true);
    found("10.0.0.0/8,2001:db8::/32", "2001:db8::1", "192.168.3.4, 10.0.0.1", NULL, "192.168.3.4",
          true);
}
END_TEST

START_TEST(without_such_an_entry_it_is_the_farthest_proxy)
{
    found("10.0.0.0/8", "10.1.2.3", NULL, NULL, "10.1.2.3", false);
    found("10.0.0.0/8", "10.1.2.3", "", "", "10.1.2.3", false);
    found("10.0.0.0/8", "10.1.2.3", "10.0.0.9", NULL, "10.0.0.9", false);
    found("10.0.0.0/8", "10.1.2.3", "198.51.100.1, unknown, 10.0.0.9", NULL, "10.0.0.9", false);
    found("0.0.0.0/0", "10.1.2.3", "1.1.1.1, 2.2.2.2", NULL, "1.1.1.1", false);
}
END_TEST

START_TEST(entries_in_any_spelling)
{
    found("::1", "::1", "203.0.113.7:4711", NULL, "203.0.113.7", true);
    found("::1", "::1", "[2001:db8::1]:443", NULL, "2001:db8::1", true);
    found("::1", "::1", "[2001:db8::1]", NULL, "2001:db8::1", true);
    found("::1", "::1", "  2001:DB8:0:0::1\t", NULL, "2001:db8::1", true);
    found("::1", "::1", "::ffff:203.0.113.7", NULL, "203.0.113.7", true);
    found("127.0.0.1", "127.0.0.1", "[2001:db8::1", NULL, "127.0.0.1", false);
    found("127.0.0.1", "127.0.0.1", "1.2.3.4\r\nx", NULL, "127.0.0.1", false);
    found("127.0.0.1", "127.0.0.1",
          "1111111111111111111111111111111111111111111111111111111111111111111111", NULL,
          "127.0.0.1", false);
}
END_TEST

START_TEST(internal_peers_may_be_anybody)
{
    static const char *const internal[] = {"127.0.0.1",   "10.0.0.1", "172.16.0.1",  "172.31.9.9",
                                           "192.168.1.1", "fd00::1",  "169.254.1.1", "100.64.0.1",
                                           "fe80::1",     "::1",      "unknown"};
    static const char *const public[] = {"128.0.0.1",   "172.32.0.1", "192.169.0.1",
                                         "2001:db8::1", "8.8.8.8",    "100.128.0.1"};

    for (size_t i = 0; i < sizeof(internal) / sizeof(internal[0]); i++)
        found(NULL, internal[i], NULL, NULL, internal[i], false);
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
        found(NULL, public[i], NULL, NULL, public[i], true);
}
END_TEST

START_TEST(blocks_end_where_they_say)
{
    found("10.1.0.0/15", "10.0.255.255", "1.1.1.1", NULL, "1.1.1.1", true);
    found("10.2.0.0/15", "10.3.255.255", "1.1.1.1", NULL, "1.1.1.1", true);
    found("10.2.0.0/15", "10.4.0.0", "1.1.1.1", NULL, "10.4.0.0", false);
    found("2001:db8::/33", "2001:db8:8000::1", "1.1.1.1", NULL, "2001:db8:8000::1", true);
    found("10.0.0.1", "10.0.0.2", "1.1.1.1", NULL, "10.0.0.2", false);
    found("::/0", "10.0.0.2", "1.1.1.1", NULL, "1.1.1.1", false);
}
END_TEST

START_TEST(what_is_no_network_is_refused)
{
    static const char *const wrong[] = {"10.0.0.0/33", "::/129",     "10.0.0/8", "example.com",
                                        "10.0.0.0/",   "10.0.0.0/x", "/8",       "10.0.0.0/-1"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_msg(networks_parse(&networks, wrong[i], &error) == STATUS_USAGE, "%s", wrong[i]);
        ck_assert_ptr_nonnull(strstr(error.message, wrong[i]));
    }
    ck_assert_int_eq(networks_parse(&networks, " , 10.0.0.0/8,, ::1 ", &error), STATUS_OK);
    ck_assert_uint_eq(networks.count, 2);
    networks_clear(&networks);
}
END_TEST

SUITE("client_address", TEST(nobody_is_believed_who_is_not_trusted),
      TEST(the_rightmost_untrusted_entry_counts),
      TEST(without_such_an_entry_it_is_the_farthest_proxy), TEST(entries_in_any_spelling),
      TEST(internal_peers_may_be_anybody), TEST(blocks_end_where_they_say),
      TEST(what_is_no_network_is_refused))
