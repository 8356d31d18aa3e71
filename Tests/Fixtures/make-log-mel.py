"""Writes log-mel.json: frames of sound as torchaudio computes them, for Tests/SignalsTests. Needs torchaudio.

python3 Tests/Fixtures/make-log-mel.py > Tests/Fixtures/signals/log-mel.json
"""
import json

import torch
import torchaudio

# In single precision its own rounding shows in bands that are nearly silent.
torch.set_default_dtype(torch.float64)
place = torch.arange(4000, dtype=torch.float64)
sound = (0.5 * torch.sin(0.05 * place) + 0.3 * torch.sin(0.31 * place + 1e-4 * place * place)).float()
cases = []
for rate, fft, window, hop, bands, low, high in [
        (16000, 512, 480, 320, 40, 20, 8000), (8000, 256, 200, 80, 13, 0, 4000), (16000, 1024, 1024, 512, 64, 300, 7600)]:
    mel = torchaudio.transforms.MelSpectrogram(
        sample_rate=rate, n_fft=fft, win_length=window, hop_length=hop, f_min=low, f_max=high, n_mels=bands, power=2.0,
        center=False, norm=None, mel_scale="htk")
    frames = torch.log(mel(sound.double()) + 1e-6).T
    cases.append({
        "sound": {"sample_rate_hz": rate, "window": window, "hop": hop, "fft": fft, "bands": bands, "lowest_hz": low,
                  "highest_hz": high},
        "frames": [[round(number, 6) for number in frame] for frame in frames.tolist()]})
print(json.dumps(cases))
