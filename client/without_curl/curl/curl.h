/* Stands in for libcurl's header in a client that is built without it (STATIC_CLIENT). A transport
 * has no handle of libcurl then, so none of these is ever called. */
#ifndef CLIENT_WITHOUT_CURL_H
#define CLIENT_WITHOUT_CURL_H

#include <stddef.h>

typedef void CURL;
typedef void CURLM;
typedef enum { CURLE_OK, CURLE_AGAIN } CURLcode;

static inline CURLcode curl_easy_recv(CURL *easy, void *data, size_t len, size_t *count)
{
    (void)easy, (void)data, (void)len, (void)count;
    return CURLE_AGAIN;
}

static inline CURLcode curl_easy_send(CURL *easy, const void *data, size_t len, size_t *count)
{
    (void)easy, (void)data, (void)len, (void)count;
    return CURLE_AGAIN;
}

static inline void curl_multi_remove_handle(CURLM *multi, CURL *easy)
{
    (void)multi, (void)easy;
}

static inline void curl_easy_cleanup(CURL *easy)
{
    (void)easy;
}

#endif
