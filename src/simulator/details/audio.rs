//! Audio that can be played, the same each time.

use rand::RngExt;
use rand::rngs::StdRng;

/// Samples a second, of one channel and eight bits.
const RATE: u32 = 8000;

/// About a second of a tone: RIFF, PCM, 8 kHz, 8 bits, mono.
pub(super) fn wav(rng: &mut StdRng, seed: u64) -> Vec<u8> {
    let samples = RATE + rng.random_range(0..RATE / 2);
    let half = rng.random_range(4..40) + (seed % 7) as u32;
    let mut out = Vec::with_capacity(44 + samples as usize);
    out.extend_from_slice(b"RIFF");
    // The data chunk is padded to an even length.
    let padding = samples % 2;
    out.extend_from_slice(&(36 + samples + padding).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16_u32.to_le_bytes());
    for word in [1_u16, 1] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for figure in [RATE, RATE] {
        out.extend_from_slice(&figure.to_le_bytes());
    }
    for word in [1_u16, 8] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(b"data");
    out.extend_from_slice(&samples.to_le_bytes());
    out.extend((0..samples).map(|sample| match sample / half % 2 {
        0 => 0x60,
        _ => 0xa0,
    }));
    out.extend((0..padding).map(|_| 0));
    out
}

/// About a second of noise in MPEG-1 layer III frames, 128 kbit/s at 44.1 kHz.
pub(super) fn mp3(rng: &mut StdRng, seed: u64) -> Vec<u8> {
    let frames = 38 + (seed % 5) as usize;
    let mut out = Vec::with_capacity(frames * 417);
    for _ in 0..frames {
        out.extend_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
        // A byte of all ones could be taken for the head of the next frame.
        out.extend((0..413).map(|_| rng.random_range(0..0xff_u8)));
    }
    out
}
