import { html, nothing, type TemplateResult } from "lit";
import type { Actions } from "../actions.ts";
import { AXIS_OPTIONS, parseNumber } from "../model/check.ts";
import type { AxisForm, SeedMode } from "../model/form.ts";
import { sizePresets } from "../model/sizes.ts";
import type { Page } from "../page.ts";
import { asChoices, inputField, isInvalid, problemLine, select, selectField, type Choice } from "./fields.ts";
import { closeIcon, pictureIcon, swapIcon } from "./icons.ts";

/** Size, steps, guidance, sampler, schedule, seed and batch. */
export function settingsSection(page: Page, actions: Actions): TemplateResult {
  const { texts, start } = page;
  return html`${sizeFields(page, actions)}
    <div class="columns">
      ${inputField(page, actions, "steps", { label: texts.steps, mode: "numeric", step: 1 })}
      ${inputField(page, actions, "cfg", { label: texts.cfg, mode: "decimal", step: 0.5 })}
      ${inputField(page, actions, "cfgRescale", { label: texts.cfgRescale, mode: "decimal", step: 0.05 })}
      ${inputField(page, actions, "batch", { label: texts.batch, mode: "numeric", step: 1 })}
    </div>
    <div class="columns two">
      ${selectField(page, "sampler", texts.sampler, asChoices(start.samplers), (sampler) => actions.change({ sampler }))}
      ${selectField(page, "schedule", texts.schedule, asChoices(start.schedules), (schedule) => actions.change({ schedule }))}
    </div>
    ${seedFields(page, actions)}`;
}

function sizeFields(page: Page, actions: Actions): TemplateResult {
  const { texts, engine } = page;
  const { width, height } = page.state.form;
  const presets = engine ? sizePresets(engine) : [];
  const current = `${width || engine?.width?.opt}×${height || engine?.height?.opt}`;
  const choices = presets.map((size): Choice => ({ value: `${size.width}×${size.height}`, label: `${size.width} × ${size.height}` }));
  const isPreset = choices.some(({ value }) => value === current);
  const choose = (value: string): void => {
    const [across, down] = value.split("×");
    if (across !== undefined && down !== undefined) actions.change({ width: across, height: down });
  };
  const swap = (): void =>
    actions.change({ width: height || String(engine?.height?.opt ?? ""), height: width || String(engine?.width?.opt ?? "") });
  return html`<div class="columns size">
    ${inputField(page, actions, "width", { label: texts.width, placeholder: String(engine?.width?.opt ?? ""), mode: "numeric", step: 8 })}
    <button class="plain swap" type="button" title=${texts.swap} @click=${swap}>
      ${swapIcon}<span class="visually-hidden">${texts.swap}</span>
    </button>
    ${inputField(page, actions, "height", { label: texts.height, placeholder: String(engine?.height?.opt ?? ""), mode: "numeric", step: 8 })}
    <div class="field">
      <label for="preset">${texts.size}</label>
      ${select({
        id: "preset",
        value: isPreset ? current : "",
        choices: isPreset ? choices : [{ value: "", label: texts.customSize }, ...choices],
        onChange: choose,
      })}
    </div>
  </div>`;
}

function seedFields(page: Page, actions: Actions): TemplateResult {
  const { texts } = page;
  const { seedMode } = page.state.form;
  const modes: readonly SeedMode[] = ["random", "keep", "next"];
  return html`<div class="columns seed">
    ${inputField(page, actions, "seed", { label: texts.seed, mode: "numeric" })}
    <fieldset class="segments">
      <legend>${texts.nextSeed}</legend>
      <div>
        ${modes.map(
          (mode) =>
            html`<label
              ><input
                type="radio"
                name="seedMode"
                value=${mode}
                .checked=${mode === seedMode}
                @change=${() => actions.change({ seedMode: mode })}
              /><span>${texts[mode]}</span></label
            >`,
        )}
      </div>
    </fieldset>
  </div>`;
}

/** The picture to start from. */
export function sourceSection(page: Page, actions: Actions): TemplateResult {
  const { texts } = page;
  const { form, source, dropTarget } = page.state;
  const strength = parseNumber(form.strength) ?? 1;
  return html`<section class="source ${dropTarget === "source" ? "dropping" : ""}" data-drop="source" aria-labelledby="source-label">
    <h2 id="source-label">${texts.source}</h2>
    ${
      form.source === ""
        ? html`<p class="muted drop-hint">
            ${pictureIcon}<span>${texts.dropSource}</span>
            <button class="link" type="button" @click=${() => actions.pickSource()}>${texts.choose}</button>
          </p>`
        : html`<div class="source-picture">
            ${source ? html`<img src=${source.uri} alt="" />` : nothing}
            <div class="source-settings">
              <div class="label-line">
                <span class="name" title=${form.source}>${source?.name ?? form.source}</span>
                <button class="plain" type="button" title=${texts.removeSource} @click=${() => actions.change({ source: "" })}>
                  ${closeIcon}<span class="visually-hidden">${texts.removeSource}</span>
                </button>
              </div>
              <div class="strength">
                <input
                  type="range"
                  min="0.05"
                  max="1"
                  step="0.05"
                  .value=${String(strength)}
                  aria-label=${texts.strength}
                  @input=${(event: Event) => actions.change({ strength: (event.target as HTMLInputElement).value })}
                />
              </div>
              ${inputField(page, actions, "strength", { label: texts.strength, mode: "decimal", step: 0.05 })}
            </div>
          </div>`
    }
    ${problemLine(page, "source")}
  </section>`;
}

/** What a grid's pictures differ in. */
export function gridSection(page: Page, actions: Actions): TemplateResult {
  const { texts } = page;
  const { isGrid } = page.state.form;
  const grid = page.checked.values?.grid;
  const [across, down] = [grid?.x.values.length ?? 0, grid?.y?.values.length ?? 1];
  return html`<section class="grid" aria-labelledby="grid-label">
    <label class="check"
      ><input
        type="checkbox"
        name="isGrid"
        .checked=${isGrid}
        @change=${(event: Event) => actions.change({ isGrid: (event.target as HTMLInputElement).checked })}
      /><span id="grid-label">${texts.grid}</span
      ><span class="muted numbers">${grid ? page.text("gridSize", across, down, across * down) : ""}</span></label
    >
    ${isGrid ? html`${axisFields(page, actions, "x")}${axisFields(page, actions, "y")}` : nothing}
  </section>`;
}

function axisFields(page: Page, actions: Actions, name: "x" | "y"): TemplateResult {
  const { texts } = page;
  const axis = page.state.form[name];
  const change = (part: Partial<AxisForm>): void => actions.change({ [name]: { ...axis, ...part } });
  const words: Readonly<Record<string, string>> = { ...texts, lora: texts.loraScale };
  const options = AXIS_OPTIONS.map((option): Choice => ({ value: option, label: words[option] ?? option }));
  const choices = name === "y" ? [{ value: "", label: texts.nothing }, ...options] : options;
  return html`<fieldset class="axis">
    <legend>${name === "x" ? texts.across : texts.down}</legend>
    <div class="columns two">
      ${select({ id: `${name}-option`, value: axis.option, choices, label: name === "x" ? texts.across : texts.down, onChange: (option) => change({ option }) })}
      ${
        axis.option === "lora"
          ? select({
              id: `${name}-lora`,
              value: axis.lora,
              choices: loraChoices(page),
              label: texts.lora,
              onChange: (lora) => change({ lora }),
            })
          : nothing
      }
    </div>
    ${
      axis.option === ""
        ? nothing
        : html`<input
            name="${name}-values"
            aria-label=${texts.values}
            placeholder=${examples(page, axis.option)}
            .value=${axis.values}
            aria-invalid=${isInvalid(page, name)}
            aria-describedby="problem-${name}"
            @input=${(event: InputEvent) => change({ values: (event.target as HTMLInputElement).value })}
          />`
    }
    ${problemLine(page, name)}
  </fieldset>`;
}

/** The LoRAs that the next picture would have: of the stack and of the prompt. */
function loraChoices(page: Page): Choice[] {
  const { host, prompts } = page.state;
  const stack = (host.stack?.items ?? []).map(({ file, name }): Choice => ({ value: file, label: name }));
  const named = (prompts?.prompt.loras ?? []).flatMap(({ name }) => host.loras.filter((lora) => lora.name === name));
  const all = [...stack, ...named.map(({ file, name }): Choice => ({ value: file, label: name }))];
  const unique = all.filter(({ value }, index) => all.findIndex((other) => other.value === value) === index);
  return [{ value: "", label: page.texts.choose }, ...unique];
}

/** Values that show how they are written. */
function examples({ start }: Page, option: string): string {
  if (option === "sampler") return start.samplers.slice(0, 3).join(", ");
  if (option === "schedule") return start.schedules.slice(0, 3).join(", ");
  const numbers: Readonly<Record<string, string>> = { lora: "0, 0.5, 1", steps: "10, 20, 40", seed: "1, 2, 3", cfg: "2, 4, 7" };
  return numbers[option] ?? "0.25, 0.5, 0.75";
}
