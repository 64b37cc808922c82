#pragma once
#include "base/error.h"

/* The addresses of this host, as its interfaces and its resolver know them. Numeric text. */

/** host_address_is_ours: @addr: numeric, or a name; true if (one of) its addresses is on an
 *  interface here. */
bool host_address_is_ours(const char *addr);
/** host_address_same: do the two, numeric or names, mean one address? */
bool host_address_same(const char *a, const char *b);
/** host_address_of: the first address of @name that is no loopback; Q_ERROR_NOT_FOUND says so. */
char *host_address_of(const char *name, GError **error);
/** host_addresses: (transfer full): %NULL-terminated, all but loopback and link-local ones */
char **host_addresses(void);
/** host_fqdn: (transfer full): @node and the resolver's first search domain; @node if it has none
 */
char *host_fqdn(const char *node);
bool host_address_is_numeric(const char *addr);
