#pragma once
#include "api/method.h"

/* "/", /version, /nodes/{node}/version. */
#define API_LEVEL "9.2.0" /* the level of the API that we follow */
#define API_RELEASE "9.2"

extern const ApiMethod api_version_root;
extern const ApiMethod api_version_version;
extern const ApiMethod api_version_of_node;
extern const ApiMethod *const api_version_methods[];

/** api_version_repoid: (transfer full): 16 hex digits that name this build. */
char *api_version_repoid(void);
