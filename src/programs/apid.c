#include "http/apid.h"

int
main(void)
{
    return http_apid_main();
}
