#include "framework/cli/command.h"

int main(int argc, char** argv) { return mtrank::cli::run(argc, argv); }
