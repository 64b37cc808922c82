#pragma once

/** http_apid_main: quorate-apid. Returns: the exit status */
int http_apid_main(void);

/* Headers on apid's socket, believed from quorate-proxy and root (docs of proxy.h). */
#define HTTP_USER_HEADER "Quorate-User"     /* who has logged in: user or token */
#define HTTP_CLIENT_HEADER "Quorate-Client" /* address of the caller */
#define HTTP_NODE_HEADER "Quorate-Node"     /* the member whose certificate was verified */
#define HTTP_FORWARDED_HEADER                                                                      \
    "Quorate-Forwarded"                     /* it came from that member: do not forward again */
#define HTTP_REJECT_HEADER "Quorate-Reject" /* why a ticket was not good */
#define HTTP_PROXY_USER "quorate-proxy"
