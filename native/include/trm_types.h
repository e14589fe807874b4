/* trm_types.h: codes and slots of the ABI. An enum with a name is an enum of Java's too (its constants are numbered from 0),
 * other constants are those of trm.device.Operations: native/GenerateOperations.java writes both. */
#ifndef TRM_TYPES_H
#define TRM_TYPES_H

enum { TRM_OK = 0, TRM_EINVAL = 1, TRM_EDEVICE = 2 };
enum { TRM_F32 = 0, TRM_BF16 = 1 };
enum { TRM_STABLEMAX = 0, TRM_SOFTMAX = 1 };
enum { TRM_ADAM_ATAN2 = 0, TRM_ADAMW = 1 };

/** When a lane halts, besides after max_steps. */
enum trm_halt_rule {
    TRM_HALT_LAST = 0,   /* never: evaluation */
    TRM_HALT_SIGN = 1,   /* at q_halt > 0 */
    TRM_HALT_COMPARE = 2 /* at q_halt > q_continue */
};

/** Label of a token that carries no loss. */
#define TRM_IGNORE (-100)

/** Scalars that change from step to step, in device memory (float64), written by `advance` only. */
enum trm_control {
    TRM_CTRL_STEP = 0,        /* number of the current optimizer step, the first is 1 */
    TRM_CTRL_LR = 1,          /* learning rate of the dense optimizer */
    TRM_CTRL_PUZZLE_LR = 2,   /* learning rate of the puzzle table */
    TRM_CTRL_CORRECTION1 = 3, /* 1 - beta1^t */
    TRM_CTRL_CORRECTION2 = 4  /* 1 - beta2^t */
};

/** Sums that `metrics` adds to (float64), over the lanes that halt at a step and have labels, unless noted. */
enum trm_metric {
    TRM_METRIC_COUNT = 0,           /* such lanes */
    TRM_METRIC_ACCURACY = 1,        /* their mean token accuracy */
    TRM_METRIC_EXACT_ACCURACY = 2,  /* exactly solved */
    TRM_METRIC_Q_HALT_ACCURACY = 3, /* (q_halt >= 0) agrees with exact */
    TRM_METRIC_STEPS = 4,           /* supervision steps spent */
    TRM_METRIC_LM_LOSS = 5,         /* over all lanes */
    TRM_METRIC_Q_HALT_LOSS = 6,     /* over all lanes */
    TRM_METRIC_Q_CONTINUE_LOSS = 7, /* over all lanes */
    TRM_METRIC_GRAD_NORM = 8        /* norms of the gradient, over the steps: added by grad_norm */
};

enum {
    TRM_CONTROLS = 8,        /* float64 of the controls; the last three are not used */
    TRM_METRICS = 9,         /* float64 of the metrics */
    TRM_NORM_PARTIALS = 512, /* float64 that grad_norm needs for sums on the way */
    TRM_MUON_FIELDS = 6,     /* int32 of a matrix in the table of Muon */
    TRM_MUON_CHUNK = 4096,   /* values of a matrix that have one sum of squares */
    TRM_SQUARES = 128        /* inner units of a row that have one in linear_swiglu */
};

#endif
