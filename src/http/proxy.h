#pragma once

/** http_proxy_main: quorate-proxyd: opens its port and reads its key as root, then becomes
 *  quorate-proxy. Returns: the exit status */
int http_proxy_main(void);
