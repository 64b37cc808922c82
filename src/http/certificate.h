#pragma once
#include <gio/gio.h>
#include "base/error.h"

/*
 * The certificate that port 8006 shows: pveproxy-ssl.{pem,key} of this node if both are there, else
 * pve-ssl.{pem,key}; before a cluster filesystem has any, a self-signed one of this machine.
 */

/** http_certificate_of_node: (transfer full): NULL with Q_ERROR_NOT_FOUND */
GTlsCertificate *http_certificate_of_node(const char *node, GError **error);

/** http_certificate_of_machine: (transfer full): made and kept if there is none yet (as root). */
GTlsCertificate *http_certificate_of_machine(const char *node, GError **error);

/** http_certificate_member: is @certificate one that the cluster's CA has signed, for @node
 *  (nullable: for any)? */
bool http_certificate_is_member(GTlsCertificate *certificate, const char *node);
