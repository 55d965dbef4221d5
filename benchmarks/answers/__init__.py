"""What a language model's answers bring to the score: the paper's ablation on answers of a real model."""
