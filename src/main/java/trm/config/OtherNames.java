package trm.config;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** What other trainers (Hugging Face, Lightning, fairseq, nanoGPT, timm) and papers call our settings, for a hint. */
final class OtherNames {
    private static final Map<String, String> NAMES = new LinkedHashMap<>();

    static {
        put("lr", "learning_rate", "base_lr", "peak_lr", "max_lr", "init_lr");
        put("lr_min_ratio", "min_lr", "min_lr_ratio", "final_lr_ratio", "lr_end", "eta_min");
        put("lr_warmup_steps", "warmup", "warmup_steps", "num_warmup_steps", "warmup_iters", "warmup_updates");
        put(
                "global_batch_size",
                "batch_size",
                "bs",
                "train_batch_size",
                "per_device_train_batch_size",
                "samples_per_batch");
        put("micro_batches", "gradient_accumulation_steps", "accumulate_grad_batches", "grad_accum", "accum_steps");
        put(
                "max_grad_norm",
                "grad_clip",
                "clip_grad",
                "gradient_clip_val",
                "clip_norm",
                "clip_grad_norm",
                "gradient_clipping");
        put(
                "max_steps",
                "num_steps",
                "n_steps",
                "total_steps",
                "train_steps",
                "max_iters",
                "max_iterations",
                "max_updates");
        put("epochs", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs");
        put("optimizer", "optim", "opt", "optimizer_type");
        put("weight_decay", "wd", "decay");
        put("beta1", "adam_beta1", "betas", "adam_betas", "momentum");
        put("beta2", "adam_beta2");
        put("ema_rate", "ema_decay", "ema_beta", "model_ema_decay");
        put("seed", "random_seed", "manual_seed");
        put("data_paths", "data_path", "data_dir", "dataset", "dataset_path", "train_data", "data");
        put("augment", "augmentation", "aug");
        put("eval_interval", "validation_interval", "val_check_interval", "eval_freq");
        put("eval_every_steps", "eval_every", "eval_steps", "validate_every", "val_every_n_steps");
        put("checkpoint_best", "save_best", "save_best_only", "metric_for_best_model", "monitor");
        put("patience", "early_stopping", "early_stopping_patience", "early_stop");
        put("eval_batch_size", "test_batch_size", "val_batch_size", "per_device_eval_batch_size");
        put("checkpoint_every_steps", "save_every", "save_steps", "save_interval", "checkpoint_interval", "ckpt_every");
        put("checkpoint_keep", "save_total_limit", "save_top_k", "keep_last_n");
        put("log_every_steps", "log_every", "log_interval", "logging_steps", "log_freq", "log_every_n_steps");
        put("load_checkpoint", "init_from", "pretrained", "pretrained_path", "checkpoint");
        put("run_name", "name", "exp_name", "experiment", "experiment_name", "job_name");
        put("recompute", "gradient_checkpointing", "activation_checkpointing", "checkpoint_activations");
        put("threads", "num_threads", "num_workers", "n_threads");
        put("arch.hidden_size", "hidden_dim", "d_model", "dim", "model_dim", "embed_dim", "n_embd", "width");
        put("arch.num_heads", "n_heads", "n_head", "heads", "num_attention_heads", "attention_heads");
        put("arch.L_layers", "num_layers", "n_layers", "n_layer", "layers", "depth", "num_hidden_layers");
        put("arch.H_cycles", "h_cycles", "t", "outer_cycles", "n_cycles");
        put("arch.L_cycles", "n", "inner_cycles", "latent_steps", "n_latent");
        put("arch.halt_max_steps", "n_sup", "supervision_steps", "max_supervision_steps", "act_steps");
        put("arch.forward_dtype", "precision", "mixed_precision", "amp", "bf16", "fp16", "torch_dtype");
        put("arch.expansion", "mlp_ratio", "ffn_mult", "expansion_factor");
        put("arch.loss.label_smoothing", "smoothing", "label_smoothing_factor");
        put("arch.rms_norm_eps", "layer_norm_eps", "norm_eps", "eps");
        put("--device", "device", "accelerator", "gpu", "cuda", "use_cuda");
        put("--run", "output_dir", "out_dir", "run_dir", "save_dir", "log_dir", "default_root_dir");
        put("--resume", "resume", "resume_from", "resume_from_checkpoint", "ckpt_path");
        put("--gpus of trm launch", "gpus", "num_gpus", "n_gpus", "devices", "nproc_per_node", "world_size");
    }

    private OtherNames() {}

    private static void put(String ours, String... theirs) {
        for (String name : theirs) {
            if (NAMES.put(name, ours) != null) {
                throw new IllegalStateException(name + " twice");
            }
        }
    }

    /** Ours, a key or an option, for what others call `name`; null if nobody does. Letter case and dashes do not count. */
    static String ours(String name) {
        return NAMES.get(name.toLowerCase(Locale.ROOT).replace('-', '_'));
    }

    /** What others say. */
    static Set<String> theirs() {
        return NAMES.keySet();
    }
}
