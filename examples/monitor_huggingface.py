"""The Trainer of transformers under the monitor; needs ``pip install transformers accelerate``.

python examples/monitor_huggingface.py --steps 500 --path run.parquet
"""

import argparse
import tempfile

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from grokscope.monitor.huggingface import HuggingFaceMonitor

P = 13


class Sums(Dataset):
    """Sequences ``a b = c``, of which only the answer is learned."""

    def __init__(self, pairs):
        answers = (pairs.sum(1) % P)[:, None]
        equals = torch.full_like(answers, P)
        self.tokens = torch.cat([pairs, equals, answers], dim=1)
        self.labels = self.tokens.clone()
        self.labels[:, :3] = -100

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=500)
parser.add_argument("--path", default="run.parquet")
options = parser.parse_args()

torch.manual_seed(0)
pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
pairs = pairs[torch.randperm(len(pairs))]
config = GPT2Config(vocab_size=P + 1, n_positions=4, n_embd=32, n_layer=1, n_head=2)
config.bos_token_id = config.eos_token_id = None
watch = HuggingFaceMonitor(options.path, groups=r"h\.\d+|wte|wpe|ln_f", config={"p": P})
with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        GPT2LMHeadModel(config),
        TrainingArguments(
            folder,
            max_steps=options.steps,
            per_device_train_batch_size=32,
            per_device_eval_batch_size=128,
            learning_rate=1e-3,
            logging_steps=5,
            eval_strategy="steps",
            eval_steps=10,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=Sums(pairs[: len(pairs) // 2]),
        eval_dataset=Sums(pairs[len(pairs) // 2 :]),
        callbacks=[watch],
    )
    trainer.train()
print(f"{options.path}: {watch.monitor.step} updates, {len(watch.monitor.alarms)} alarms")
