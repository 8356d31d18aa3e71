#ifndef LCP_ACTIVATION_H
#define LCP_ACTIVATION_H

/* Functions of every number by itself. Two constants are α and β of a hard sigmoid; one is the slope of a leaky ReLU or α of an ELU.
   Activation.swift has the same numbers. */
enum lcp_activation {
    LCP_SIGMOID,
    LCP_TANH,
    LCP_SILU,
    LCP_HARD_SIGMOID,
    LCP_HARD_SWISH,
    LCP_LEAKY_RELU,
    LCP_ELU,
    LCP_GELU,
    LCP_GELU_TANH,
};

#endif
