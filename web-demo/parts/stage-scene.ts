/**
 * The drawing in the place of the video: a night concert under the eaves of a courtyard hall, on one canvas. The chat moves
 * it: a message lifts a light stick in its author's colour and lets their face hop out of the crowd, the busiest word
 * stands on the screen behind the band, and the faster the talk, the livelier the lights.
 *
 * Owns what moves (sticks, hops, energy), all of it bounded. Coordinates are those of a 1600 × 900 picture.
 */
const width = 1600;
const height = 900;
const frameMs = 1000 / 30;
const sticksCount = 54;
const hopsMax = 16;
const facesCachedMax = 64;
const wordSizeMax = 96;
const palette = ["#e8533a", "#2fa58c", "#f0b63c", "#3f7fc4", "#f3ead8"] as const;

interface Stick {
  x: number;
  y: number;
  colour: string;
  /** 1 when just lifted, falls to 0. */
  lift: number;
  phase: number;
}

interface Hop {
  face: string;
  x: number;
  bornMs: number;
}

type Pen = CanvasRenderingContext2D;

export class StageScene {
  readonly #pen: Pen;
  readonly #still: HTMLCanvasElement;
  readonly #glow: HTMLCanvasElement;
  readonly #faces = new Map<string, HTMLCanvasElement>();
  readonly #sticks: Stick[];
  #hops: Hop[] = [];
  #nextStick = 0;
  #word = "";
  #wordSinceMs = 0;
  #energy = 0.15;
  #timeMs = 0;
  #lastMs: number | undefined;
  #frame: number | undefined;
  #playing = false;

  constructor(readonly canvas: HTMLCanvasElement) {
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d", { alpha: false });
    if (!pen) throw new Error("this browser draws no canvas");
    this.#pen = pen;
    this.#still = drawn(width, height, drawStillParts);
    this.#glow = drawn(128, 128, (glow) => {
      const light = glow.createRadialGradient(64, 64, 0, 64, 64, 64);
      light.addColorStop(0, "rgba(255,214,140,0.9)");
      light.addColorStop(0.25, "rgba(255,170,80,0.35)");
      light.addColorStop(1, "rgba(255,140,60,0)");
      glow.fillStyle = light;
      glow.fillRect(0, 0, 128, 128);
    });
    this.#sticks = Array.from({ length: sticksCount }, (_, index) => {
      const row = index % 3;
      return {
        x: ((index * 617) % sticksCount) * (width / sticksCount) + 14 + row * 5,
        y: 800 + row * 34,
        colour: palette[index % palette.length] as string,
        lift: 0,
        phase: (index * 1.7) % 6.28,
      };
    });
  }

  /** A message came in. */
  cheer(face: string, colour: string): void {
    const stick = this.#sticks[this.#nextStick++ % sticksCount] as Stick;
    stick.colour = colour;
    stick.lift = 1;
    this.#energy = Math.min(1, this.#energy + 0.05);
    if (face !== "" && this.#hops.length < hopsMax) this.#hops.push({ face, x: stick.x, bornMs: this.#timeMs });
  }

  /** What stands on the screen behind the band. */
  show(word: string): void {
    if (word === this.#word) return;
    this.#word = word;
    this.#wordSinceMs = this.#timeMs;
    if (!this.#playing) this.#draw();
  }

  play(playing: boolean): void {
    this.#playing = playing;
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#frame = undefined;
    this.#lastMs = undefined;
    if (playing) this.#frame = requestAnimationFrame(this.#next);
    else {
      // A still picture says nothing about its chat; it shows the evening at its best.
      for (const [index, stick] of this.#sticks.entries()) stick.lift = index % 2 ? 0.9 : 0.2;
      this.#energy = 0.5;
      this.#timeMs = 4_200;
      this.#wordSinceMs = 0;
      this.#hops = [];
      this.#draw();
    }
  }

  readonly #next = (nowMs: number): void => {
    this.#frame = requestAnimationFrame(this.#next);
    const passedMs = nowMs - (this.#lastMs ?? nowMs - frameMs);
    if (passedMs < frameMs - 2) return;
    this.#lastMs = nowMs;
    const stepMs = Math.min(passedMs, 100);
    this.#timeMs += stepMs;
    this.#energy += (0.15 - this.#energy) * (1 - Math.exp(-stepMs / 2500));
    for (const stick of this.#sticks) stick.lift *= Math.exp(-stepMs / 900);
    this.#hops = this.#hops.filter((hop) => this.#timeMs - hop.bornMs < 1800);
    this.#draw();
  };

  #draw(): void {
    const pen = this.#pen;
    const beat = this.#timeMs / 1000;
    pen.drawImage(this.#still, 0, 0);
    this.#drawScreen(pen, beat);
    this.#drawBeams(pen, beat);
    this.#drawLanterns(pen, beat);
    drawBand(pen, beat, this.#energy);
    this.#drawCrowd(pen, beat);
  }

  #drawScreen(pen: Pen, beat: number): void {
    const [left, top, wide, high] = [486, 394, 628, 238];
    pen.fillStyle = "#27312f";
    pen.fillRect(left - 7, top - 7, wide + 14, high + 14);
    pen.fillStyle = "#0b1516";
    pen.fillRect(left, top, wide, high);
    const bars = 44;
    const step = wide / bars;
    for (let i = 0; i < bars; i++) {
      const wave = Math.abs(Math.sin(beat * 2.1 + i * 0.55) * Math.sin(beat * 1.3 + i * 0.23));
      const tall = 12 + wave * (50 + 150 * this.#energy);
      pen.fillStyle = palette[Math.floor((i / bars) * 4)] as string;
      pen.globalAlpha = 0.28 + 0.3 * this.#energy;
      for (let y = 0; y < tall; y += 12) pen.fillRect(left + i * step + 2, top + high - 12 - y, step - 4, 8);
    }
    const appear = Math.min(1, (this.#timeMs - this.#wordSinceMs) / 500);
    pen.save();
    pen.beginPath();
    pen.rect(left, top, wide, high);
    pen.clip();
    pen.globalAlpha = appear;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const font = (size: number) => `800 ${size}px "Noto Sans KR","Noto Sans CJK KR",system-ui,sans-serif`;
    pen.font = font(wordSizeMax);
    const size = Math.max(34, Math.min(1, (wide - 60) / Math.max(1, pen.measureText(this.#word).width)) * wordSizeMax);
    pen.font = font(size);
    pen.fillStyle = "rgba(232,83,58,0.5)";
    pen.fillText(this.#word, width / 2 + 4, top + 66 + (1 - appear) * 30 + 4);
    pen.fillStyle = "#fff4dc";
    pen.fillText(this.#word, width / 2, top + 66 + (1 - appear) * 30);
    pen.restore();
    pen.globalAlpha = 1;
  }

  #drawBeams(pen: Pen, beat: number): void {
    pen.save();
    pen.globalCompositeOperation = "lighter";
    for (const [index, x] of [340, 560, 1040, 1260].entries()) {
      const swing = Math.sin(beat * 0.7 + index * 1.9) * 210;
      const light = pen.createLinearGradient(x, 360, x + swing, 760);
      const strength = 0.2 + 0.22 * this.#energy;
      const rgb = ["240,182,60", "47,165,140", "232,83,58", "243,234,216"][index] as string;
      light.addColorStop(0, `rgba(${rgb},${strength})`);
      light.addColorStop(1, `rgba(${rgb},0)`);
      pen.fillStyle = light;
      pen.beginPath();
      pen.moveTo(x - 8, 360);
      pen.lineTo(x + 8, 360);
      pen.lineTo(x + swing + 120, 770);
      pen.lineTo(x + swing - 120, 770);
      pen.fill();
    }
    pen.restore();
  }

  #drawLanterns(pen: Pen, beat: number): void {
    for (const side of [-1, 1]) {
      const [fromX, fromY, toX, toY] = [800 + side * 590, 352, 800 + side * 830, 250];
      for (let i = 1; i <= 5; i++) {
        const t = i / 6;
        const sway = Math.sin(beat * 0.9 + i + side) * 5;
        const x = fromX + (toX - fromX) * t + sway;
        const y = fromY + (toY - fromY) * t + Math.sin(t * Math.PI) * 60;
        pen.drawImage(this.#glow, x - 64, y - 44);
        oval(pen, x, y + 20, 15, 19, i % 2 ? "#e8533a" : "#2fa58c", sway / 60);
        oval(pen, x, y + 22, 7, 11, "rgba(255,236,190,0.75)");
      }
    }
  }

  #drawCrowd(pen: Pen, beat: number): void {
    pen.lineCap = "round";
    for (const stick of this.#sticks) {
      const bob = Math.sin(beat * 5 + stick.phase) * (3 + 5 * this.#energy);
      const lean = Math.sin(beat * 2.4 + stick.phase) * 9;
      const y = stick.y + bob;
      const handY = y - 34 - stick.lift * 74;
      const handX = stick.x + 20 + lean * stick.lift;
      pen.strokeStyle = "#060b0c";
      pen.lineWidth = 9;
      line(pen, stick.x + 14, y + 26, handX, handY);
      pen.strokeStyle = stick.colour;
      pen.globalAlpha = 0.16 + 0.2 * stick.lift;
      pen.lineWidth = 24;
      line(pen, handX, handY, handX + lean * 0.6, handY - 34);
      pen.globalAlpha = 0.4 + 0.6 * stick.lift;
      pen.lineWidth = 8;
      line(pen, handX, handY, handX + lean * 0.6, handY - 34);
      pen.globalAlpha = 1;
      const shade = stick.y < 820 ? "#16201f" : stick.y < 850 ? "#0e1616" : "#070c0d";
      oval(pen, stick.x, y, 21, 24, shade);
      oval(pen, stick.x, y + 66, 40, 52, shade);
    }
    for (const hop of this.#hops) {
      const t = (this.#timeMs - hop.bornMs) / 1800;
      const face = this.#face(hop.face);
      pen.globalAlpha = Math.min(1, 3 * (1 - t));
      pen.drawImage(face, hop.x - 32 + Math.sin(t * 5 + hop.x) * 16, 770 - 170 * Math.sin(t * 1.9));
    }
    pen.globalAlpha = 1;
  }

  /** Emoji are slow to draw as text, so each is drawn once. */
  #face(face: string): HTMLCanvasElement {
    let picture = this.#faces.get(face);
    if (!picture) {
      if (this.#faces.size >= facesCachedMax) this.#faces.clear();
      picture = drawn(64, 64, (pen) => {
        pen.font = "46px sans-serif";
        pen.textAlign = "center";
        pen.textBaseline = "middle";
        pen.fillStyle = "#fff4dc";
        pen.fillText(face, 32, 34, 64);
      });
      this.#faces.set(face, picture);
    }
    return picture;
  }
}

function drawn(wide: number, high: number, draw: (pen: Pen) => void): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = wide;
  canvas.height = high;
  const pen = canvas.getContext("2d");
  if (pen) draw(pen);
  return canvas;
}

function line(pen: Pen, fromX: number, fromY: number, toX: number, toY: number): void {
  pen.beginPath();
  pen.moveTo(fromX, fromY);
  pen.lineTo(toX, toY);
  pen.stroke();
}

/** Sky, moon, hills, the hall with its painted eaves, and the floor. */
function drawStillParts(pen: Pen): void {
  const sky = pen.createLinearGradient(0, 0, 0, 700);
  for (const [at, colour] of [
    [0, "#0a151c"],
    [0.45, "#14313a"],
    [0.8, "#3c5550"],
    [1, "#b3683f"],
  ] as const) {
    sky.addColorStop(at, colour);
  }
  pen.fillStyle = sky;
  pen.fillRect(0, 0, width, height);
  pen.fillStyle = "#f3ead8";
  for (let i = 0; i < 90; i++) {
    pen.globalAlpha = 0.2 + ((i * 37) % 60) / 100;
    pen.fillRect((i * 421.7) % width, (i * 167.3) % 380, 1 + (i % 2), 1 + (i % 2));
  }
  pen.globalAlpha = 1;
  const halo = pen.createRadialGradient(1330, 150, 50, 1330, 150, 260);
  halo.addColorStop(0, "rgba(247,230,192,0.42)");
  halo.addColorStop(1, "rgba(247,230,192,0)");
  pen.fillStyle = halo;
  pen.fillRect(1040, 0, 560, 460);
  oval(pen, 1330, 150, 70, 70, "#f7e6c0");
  hills(pen, "#1d3b40", 500, 90, 0.006, 1);
  hills(pen, "#12282c", 590, 60, 0.009, 4);
  drawHall(pen);
  const floor = pen.createLinearGradient(0, 660, 0, 790);
  floor.addColorStop(0, "#6b3a26");
  floor.addColorStop(1, "#1d1210");
  pen.fillStyle = floor;
  pen.beginPath();
  pen.moveTo(230, 664);
  pen.lineTo(1370, 664);
  pen.lineTo(1490, 770);
  pen.lineTo(110, 770);
  pen.fill();
  pen.fillStyle = "#0d1415";
  pen.fillRect(0, 766, width, 140);
  pen.strokeStyle = "rgba(0,0,0,0.35)";
  pen.lineWidth = 2;
  for (let i = -9; i <= 9; i++) line(pen, 800 + i * 62, 664, 800 + i * 76, 766);
  pen.fillStyle = "#c9502f";
  pen.fillRect(110, 764, 1380, 7);
}

function hills(pen: Pen, colour: string, y: number, tall: number, rate: number, phase: number): void {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(0, height);
  for (let x = 0; x <= width; x += 20) {
    pen.lineTo(x, y - tall * (Math.sin(x * rate + phase) + 0.6 * Math.sin(x * rate * 2.3 + phase * 2)));
  }
  pen.lineTo(width, height);
  pen.fill();
}

function drawHall(pen: Pen): void {
  pen.fillStyle = "#0f1a1b";
  pen.fillRect(290, 350, 1020, 320);
  for (const x of [300, 444, 1128, 1272]) {
    const pillar = pen.createLinearGradient(x, 0, x + 28, 0);
    pillar.addColorStop(0, "#5c2219");
    pillar.addColorStop(0.5, "#a8412c");
    pillar.addColorStop(1, "#4a1b14");
    pen.fillStyle = pillar;
    pen.fillRect(x, 360, 28, 306);
  }
  // Painted beam: green ground, lozenges in the five colours.
  pen.fillStyle = "#1f7765";
  pen.fillRect(280, 346, 1040, 34);
  for (let i = 0; i < 26; i++) {
    pen.fillStyle = palette[i % palette.length] as string;
    pen.beginPath();
    pen.moveTo(300 + i * 40, 363);
    pen.lineTo(320 + i * 40, 351);
    pen.lineTo(340 + i * 40, 363);
    pen.lineTo(320 + i * 40, 375);
    pen.fill();
  }
  // Roof: ridge, hanging curve of the tiles, tips that turn up.
  pen.fillStyle = "#0c1416";
  pen.beginPath();
  pen.moveTo(196, 326);
  pen.quadraticCurveTo(400, 322, 500, 206);
  pen.quadraticCurveTo(505, 190, 480, 180);
  pen.lineTo(540, 196);
  pen.quadraticCurveTo(800, 212, 1060, 196);
  pen.lineTo(1120, 180);
  pen.quadraticCurveTo(1095, 190, 1100, 206);
  pen.quadraticCurveTo(1200, 322, 1404, 326);
  pen.quadraticCurveTo(1360, 352, 1300, 352);
  pen.quadraticCurveTo(800, 338, 300, 352);
  pen.quadraticCurveTo(240, 352, 196, 326);
  pen.fill();
  pen.strokeStyle = "rgba(160,190,180,0.16)";
  pen.lineWidth = 3;
  for (let i = -22; i <= 22; i++) {
    pen.beginPath();
    pen.moveTo(800 + i * 12.6, 212);
    pen.quadraticCurveTo(800 + i * 15, 300, 800 + i * 23.5, 343);
    pen.stroke();
  }
  for (let i = 0; i < 45; i++) {
    const x = 272 + i * 24;
    const y = 350 - 7 * Math.sin((i / 44) * Math.PI);
    oval(pen, x, y, 9, 9, "#1f7765");
    oval(pen, x, y, 4.5, 4.5, i % 2 ? "#e8533a" : "#f0b63c");
  }
}

/** Guitar, voice, janggu (an hourglass drum): silhouettes, with light on edges and instruments. */
function drawBand(pen: Pen, beat: number, energy: number): void {
  const ink = "#070d0e";
  const rim = "rgba(255,214,140,0.65)";
  pen.save();
  // Drawn 1000 units wide around x = 0, feet at y = 0.
  pen.translate(800, 712);
  pen.scale(0.86, 0.86);
  pen.lineCap = "round";
  pen.lineJoin = "round";
  for (const [index, x] of [-290, 0, 290].entries()) {
    const bob = Math.sin(beat * 4.4 + index * 2) * (3 + 6 * energy);
    const lean = Math.sin(beat * 2.2 + index) * 7;
    const shoulder = -172 + bob;
    const head = x + lean * 1.3;
    pen.fillStyle = ink;
    pen.strokeStyle = ink;
    pen.lineWidth = 20;
    line(pen, x - 11, shoulder + 90, x - 21, 0);
    line(pen, x + 11, shoulder + 90, x + 23, 0);
    pen.beginPath();
    pen.moveTo(x - 32 + lean, shoulder + 4);
    pen.quadraticCurveTo(x + lean, shoulder - 14, x + 32 + lean, shoulder + 4);
    pen.lineTo(x + 34, shoulder + 104);
    pen.lineTo(x - 34, shoulder + 104);
    pen.fill();
    oval(pen, head, shoulder - 32, 20, 24, ink);
    pen.lineWidth = 14;
    if (index === 0) {
      oval(pen, x - 22, shoulder + 78, 40, 28, "#b5652f", -0.4);
      oval(pen, x - 16, shoulder + 74, 10, 10, "#3a1a0c");
      pen.strokeStyle = "#d9a066";
      pen.lineWidth = 7;
      line(pen, x - 8, shoulder + 70, x + 104, shoulder + 22);
      pen.strokeStyle = ink;
      pen.lineWidth = 14;
      line(pen, x - 28 + lean, shoulder + 12, x - 58, shoulder + 52);
      line(pen, x - 58, shoulder + 52, x - 20, shoulder + 74 + bob * 2);
      line(pen, x + 28 + lean, shoulder + 12, x + 58, shoulder + 62);
      line(pen, x + 58, shoulder + 62, x + 78, shoulder + 34);
    } else if (index === 1) {
      pen.strokeStyle = "#8f9a94";
      pen.lineWidth = 5;
      line(pen, x + 44, 0, x + 36, shoulder - 10);
      oval(pen, x + 33, shoulder - 18, 9, 9, "#c9d0c8");
      pen.strokeStyle = ink;
      pen.lineWidth = 14;
      line(pen, x + 26 + lean, shoulder + 12, x + 58, shoulder + 38);
      line(pen, x + 58, shoulder + 38, x + 38, shoulder + 6);
      line(pen, x - 28 + lean, shoulder + 12, x - 66, shoulder - 8);
      line(pen, x - 66, shoulder - 8, x - 78, shoulder - 58 - 26 * energy + bob);
      // The gat: a tall crown on a wide brim.
      oval(pen, head, shoulder - 48, 46, 8, ink);
      pen.fillRect(head - 16, shoulder - 82, 32, 34);
      pen.strokeStyle = rim;
      pen.lineWidth = 2.5;
      pen.beginPath();
      pen.ellipse(head, shoulder - 48, 46, 8, 0, 3.3, 6.1);
      pen.stroke();
      pen.strokeRect(head - 16, shoulder - 82, 32, 0.5);
    } else {
      const hit = Math.max(0, Math.sin(beat * 8.8)) * 30;
      pen.fillStyle = "#a8412c";
      pen.beginPath();
      pen.moveTo(x - 80, shoulder + 42);
      pen.quadraticCurveTo(x - 20, shoulder + 76, x, shoulder + 76);
      pen.quadraticCurveTo(x + 20, shoulder + 76, x + 80, shoulder + 42);
      pen.lineTo(x + 80, shoulder + 122);
      pen.quadraticCurveTo(x + 20, shoulder + 90, x, shoulder + 90);
      pen.quadraticCurveTo(x - 20, shoulder + 90, x - 80, shoulder + 122);
      pen.fill();
      pen.strokeStyle = "#f0b63c";
      pen.lineWidth = 2;
      for (const side of [-1, 1]) {
        for (let cord = 0; cord < 4; cord++) {
          line(pen, x + side * 80, shoulder + 50 + cord * 21, x + side * 5, shoulder + 78 + cord * 3);
        }
      }
      oval(pen, x - 82, shoulder + 82, 13, 46, "#f3ead8");
      oval(pen, x + 82, shoulder + 82, 13, 46, "#f3ead8");
      pen.strokeStyle = ink;
      pen.lineWidth = 14;
      line(pen, x - 28 + lean, shoulder + 12, x - 70, shoulder + 34);
      line(pen, x - 70, shoulder + 34, x - 96, shoulder + 84 - hit);
      line(pen, x + 28 + lean, shoulder + 12, x + 70, shoulder + 34);
      line(pen, x + 70, shoulder + 34, x + 96, shoulder + 54 + hit);
    }
    pen.strokeStyle = rim;
    pen.lineWidth = 3;
    pen.beginPath();
    pen.ellipse(head, shoulder - 32, 20, 24, 0, 3.5, 5.9);
    pen.stroke();
    pen.beginPath();
    pen.moveTo(x - 32 + lean, shoulder + 4);
    pen.quadraticCurveTo(x + lean, shoulder - 14, x + 32 + lean, shoulder + 4);
    pen.stroke();
  }
  pen.restore();
}

function oval(pen: Pen, x: number, y: number, wide: number, high: number, colour: string, turn = 0): void {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.ellipse(x, y, wide, high, turn, 0, 7);
  pen.fill();
}
