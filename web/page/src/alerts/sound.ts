/** Two short tones, made here; nothing where the browser wants a press first. */

const TONES_HZ = [660, 880];
const TONE_S = 0.09;
const QUIET_GAIN = 0.08;

let context: AudioContext | null = null;

export function ring(): void {
  if (typeof AudioContext === "undefined" || !navigator.userActivation?.hasBeenActive) return;
  context ??= new AudioContext();
  const { currentTime, destination } = context;
  TONES_HZ.forEach((frequency, index) => {
    if (!context) return;
    const tone = new OscillatorNode(context, { frequency });
    const volume = new GainNode(context, { gain: 0 });
    const begin = currentTime + index * TONE_S * 1.2;
    volume.gain.setValueAtTime(0, begin);
    volume.gain.linearRampToValueAtTime(QUIET_GAIN, begin + 0.01);
    volume.gain.linearRampToValueAtTime(0, begin + TONE_S);
    tone.connect(volume).connect(destination);
    tone.start(begin);
    tone.stop(begin + TONE_S);
  });
}
