#include "access/pam.h"
#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVICE "proxmox-ve-auth"
#define SERVICE_ELSE "login"

/* Answers every question of PAM with the one secret. */
static int
converse(int count, const struct pam_message **messages, struct pam_response **responses,
         void *data)
{
    struct pam_response *replies = calloc((size_t)count, sizeof *replies);

    if (replies == NULL) {
        return PAM_BUF_ERR;
    }
    for (int i = 0; i < count; i++) {
        int style = messages[i]->msg_style;
        if (style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON) {
            replies[i].resp = strdup(data);
        }
    }
    *responses = replies;
    return PAM_SUCCESS;
}

/* A failed login waits in the daemon's loop, not in a thread here. */
static void
no_delay(int status, unsigned delay_us, void *data)
{
}

bool
pam_check(const char *name, const char *password, const char *client, GError **error)
{
    const char *service = access("/etc/pam.d/" SERVICE, R_OK) == 0 ? SERVICE : SERVICE_ELSE;
    struct pam_conv conversation = { converse, (void *)password };
    pam_handle_t *pam = NULL;
    int code = pam_start(service, name, &conversation, &pam);

    if (code != PAM_SUCCESS) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "PAM does not start");
    }
    pam_set_item(pam, PAM_FAIL_DELAY, (const void *)no_delay);
    if (client != NULL) {
        pam_set_item(pam, PAM_RHOST, client);
    }
    code = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (code == PAM_SUCCESS) {
        code = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    }
    if (code != PAM_SUCCESS) {
        q_set_error(error, Q_ERROR_UNAUTHENTICATED, "%s", pam_strerror(pam, code));
    }
    pam_end(pam, code);
    return code == PAM_SUCCESS;
}
