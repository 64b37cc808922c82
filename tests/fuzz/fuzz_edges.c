#include <string.h>
#include "access/core/ticket.h"
#include "access/core/user_cfg.h"
#include "api/call.h"
#include "api/permission.h"
#include "fuzz.h"
#include "http/credentials.h"
#include "http/form.h"
#include "http/head.h"
#include "task/upid.h"

/* What reaches us from outside: HTTP heads, parameters, tickets, task names, calls of every method.
 */

static void
run_head(const char *text, size_t length)
{
    size_t head_length = http_head_length(text, length);

    if (head_length > 0) {
        g_assert(head_length <= length);
        g_autoptr(GError) error = NULL;
        g_autoptr(HttpHead) head = http_head_parse(text, head_length, &error);
        g_assert((head == NULL) == (error != NULL));
        g_assert(head == NULL || head->path[0] == '/');
        g_assert(head == NULL || head->body_length <= HTTP_BODY_MAX_BYTES);
        g_assert(error == NULL || q_error_http_status(error) >= 400);
    }
}

static const char *const head_seeds[] = {
    "GET /api2/json/version HTTP/1.1\r\nHost: n1:8006\r\nCookie: "
    "PVEAuthCookie=PVE:a@b:6B05AB47::AA==\r\n\r\n",
    "POST /api2/json/access/ticket?a=b HTTP/1.1\r\nContent-Length: 3\r\nContent-Type: "
    "application/json\r\n\r\n{}x",
    "PUT /x HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nTransfer-Encoding: "
    "chunked\r\n\r\n",
    NULL,
};

/* What was read and written again reads the same. */
static void
run_form(const char *text, size_t length)
{
    g_autoptr(JsonObject) into = json_object_new();
    g_autoptr(JsonObject) again = json_object_new();

    if (!http_form_decode(text, into, NULL)) {
        return;
    }
    g_autofree char *form = http_form_encode(into);
    g_assert(http_form_decode(form, again, NULL));
    g_autofree char *first = q_json_object_text(into, Q_JSON_COMPACT);
    g_autofree char *second = q_json_object_text(again, Q_JSON_COMPACT);
    g_assert_cmpstr(first, ==, second);
}

static const char *const form_seeds[] = { "username=root%40pam&password=a+b%20c",
                                          "a=1;b=2&a=3&_dc=5&=&a", "scsi0=local%3A1%2Cformat%3Draw",
                                          NULL };

static void
run_json_body(const char *text, size_t length)
{
    g_autoptr(JsonObject) into = json_object_new();

    http_json_decode(text, length, into, NULL);
}

static const char *const json_seeds[] = {
    "{\"vmid\":100,\"name\":\"a\\u00e4\",\"list\":[1,2,true,null],\"o\":{\"x\":1.5e3}}", "{}", "[]",
    NULL
};

static void
run_ticket(const char *text, size_t length)
{
    g_autoptr(Ticket) ticket = ticket_parse(text, NULL);

    if (ticket != NULL) {
        g_autofree char *plain = ticket_plain(ticket->kind, ticket->data, ticket->made_at_s);
        g_autofree char *whole = g_strdup_printf("%s::%s", plain, ticket->signature);
        g_autoptr(Ticket) again = ticket_parse(whole, NULL);
        g_assert(strlen(whole) > TICKET_MAX_LENGTH || again != NULL);
        g_assert(again == NULL || strcmp(again->data, ticket->data) == 0);
        g_assert(again == NULL || again->made_at_s == ticket->made_at_s);
    }
    csrf_token_is_good(text, "secret", "root@pam", 0x6b05ab47);
}

static const char *const ticket_seeds[] = {
    "PVE:root@pam:6B05AB47::c2lnbmF0dXJl",
    "PVEVNC:6B05AB47::AA==", "PVENODE:node%3A1:6B05AB47::AA==", "6B05AB47:abcDEF", NULL
};

static void
run_upid(const char *text, size_t length)
{
    g_autoptr(Upid) upid = upid_parse(text, NULL);

    if (upid != NULL) {
        g_autofree char *again = upid_text(upid);
        g_assert_cmpstr(again, ==, text);
        g_assert(strchr(text, '/') == NULL);
    }
}

static const char *const upid_seeds[] = {
    "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qmstart:100:root@pam:",
    "UPID:n:00000001:1C0FFEE00:6B05AB47:qmmove:100-scsi0>101-scsi0:a@b!c:", NULL
};

/* Writing is the end of it: what was written reads and writes the same. */
static void
run_user_cfg(const char *text, size_t length)
{
    g_autoptr(UserCfg) cfg = user_cfg_parse(text);
    g_autofree char *first = user_cfg_text(cfg);
    g_autoptr(UserCfg) again = user_cfg_parse(first);
    g_autofree char *second = user_cfg_text(again);

    g_assert_cmpstr(first, ==, second);
    g_autoptr(GHashTable) held = access_privileges_on(cfg, "ada@pve!ci", "/vms/100");
    g_assert_nonnull(held);
}

static const char *const user_cfg_seeds[] = {
    "user:ada@pve:1:0:A:L:a@b.c:on%3Acall:x:\ntoken:ada@pve!ci:5:1:x:\ngroup:ops:ada@pve:c:\n"
    "pool:lab:x:100,101:nas:\nrole:R:VM.Audit:\nacl:1:/vms:@ops,ada@pve!ci:R,NoAccess:\n",
    "user:root@pam:1:0::::::\nstrange\n", NULL
};

static void
run_access(const char *text, size_t length)
{
    g_autofree char *why = NULL;
    g_autoptr(UserCfg) cfg = user_cfg_parse("");
    g_autoptr(GHashTable) arguments = g_hash_table_new(g_str_hash, g_str_equal);
    ApiAsker asker = { cfg, "eve@pve", arguments };
    bool valid = api_access_is_valid(text, &why);

    g_assert(valid == (why == NULL));
    if (!valid) { /* what is not understood lets nobody in */
        g_assert(api_access_is_world(text) || !api_access_check(text, &asker, NULL));
    }
}

static const char *const access_seeds[] = { "and(realm(userid), or(group(User.Modify), root))+",
                                            "x?perm(/vms/{vmid}, VM.Audit, VM.Migrate)",
                                            "modify({path})", "all", NULL };

static void
run_credentials(const char *text, size_t length)
{
    HttpCredentials cookie = http_credentials_read(text, NULL);
    HttpCredentials header = http_credentials_read(NULL, text);

    g_assert((cookie.kind == HTTP_NOBODY) == (cookie.text == NULL));
    g_assert((header.kind == HTTP_TOKEN) == (header.secret != NULL));
    http_credentials_clear(&cookie);
    http_credentials_clear(&header);
}

static const char *const credential_seeds[] = { "a=b; PVEAuthCookie=PVE%3Ax; c=d",
                                                "PVEAPIToken=a@b!c=d", "PVENODE=PVENODE:n:x",
                                                "PVEAuthCookie=x", NULL };

/* "VERB PATH PARAMETERS": any method found is bound, never run. */
static void
run_bind(const char *text, size_t length)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 3);
    g_autoptr(JsonObject) raw = json_object_new();
    ApiVerb verb;

    if (g_strv_length(words) < 2 || !api_verb_parse(words[0], &verb)
        || !http_form_decode(words[2] != NULL ? words[2] : "", raw, NULL)) {
        return;
    }
    const ApiMethod *method = api_find(verb, words[1], true, raw, NULL);
    if (method != NULL) {
        g_autoptr(GError) error = NULL;
        g_autoptr(ApiArgs) args = api_bind(method->params, raw, API_FROM_HTTP, "node1", &error);
        g_assert((args == NULL) == (error != NULL));
    }
}

static const char *const bind_seeds[] = {
    "GET /nodes/node1/tasks limit=5&statusfilter=ok,error&vmid=100&source=all",
    "POST /nodes/node1/qemu "
    "vmid=100&name=db&memory=512&scsi0=local:1&net0=virtio,bridge=vmbr0&boot=order%3Dscsi0",
    "PUT /nodes/node1/qemu/100/config "
    "delete=net0&cpu=host&digest=0123456789012345678901234567890123456789",
    "POST /cluster/ha/resources sid=vm:100&state=started&max_restart=2",
    "POST /storage storage=nas&type=dir&path=/mnt&content=images,iso",
    "PUT /access/acl path=/vms&roles=PVEAuditor&users=ada@pve&propagate=1",
    NULL,
};

static const FuzzTarget targets[] = {
    { "head", run_head, head_seeds },
    { "form", run_form, form_seeds },
    { "json-body", run_json_body, json_seeds },
    { "ticket", run_ticket, ticket_seeds },
    { "upid", run_upid, upid_seeds },
    { "user-cfg", run_user_cfg, user_cfg_seeds },
    { "access", run_access, access_seeds },
    { "credentials", run_credentials, credential_seeds },
    { "bind", run_bind, bind_seeds },
    { 0 },
};

int
main(int argc, char **argv)
{
    return fuzz_main(argc, argv, targets);
}
