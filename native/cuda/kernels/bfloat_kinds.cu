/* kinds.cu, with products of bf16 matrices too by the matrix units, which take them from compute capability 8.0 on. */
#define REDUX_COMPUTE_CAPABILITY 80
#include "kinds.cu"
