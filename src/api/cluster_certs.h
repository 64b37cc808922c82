#pragma once
#include "api/method.h"

/*
 * The files that a node and its cluster need beside guests: folders, the cluster's CA, ticket keys,
 * the node's certificate. All made only where they are missing or no good any more, each in one
 * conditional update, so that nodes that start together agree.
 */
typedef struct {
    bool force;                                   /* the node's certificate anew in any case */
    void (*say)(const char *line, gpointer data); /* (nullable) what was made */
    gpointer data;
} ClusterCertsOptions;

/**
 * cluster_certs_ensure:
 * @cfs: where it can be written: there is quorum
 * @node: this node's name
 * @options: (nullable)
 *
 * For apid at its start and once a day, `pvecm updatecerts`, create and join. A private key that
 * was lost (the CA's without its certificate, or the reverse) is made anew with a word.
 */
bool cluster_certs_ensure(CfsClient *cfs, const char *node, const ClusterCertsOptions *options,
                          GError **error);

/** cluster_certs_fingerprint: (transfer full): of the certificate that @node shows on port 8006:
 *  its pveproxy-ssl.pem, else its pve-ssl.pem. */
char *cluster_certs_fingerprint(CfsClient *cfs, const char *node, GError **error);
