#include "lab/commands.h"

int
main(int argc, char **argv)
{
    return lab_main(argc, argv);
}
