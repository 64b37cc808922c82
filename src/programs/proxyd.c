#include "http/proxy.h"

int
main(void)
{
    return http_proxy_main();
}
