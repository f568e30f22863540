import { html, nothing, type TemplateResult } from "lit";
import { formatCount } from "../shared/numbers.ts";
import { format } from "../shared/page.ts";
import type { InspectorTexts } from "./protocol.ts";
import type { TagCount, TrainingMetadata } from "./training-metadata.ts";

const TAGS_SHOWN = 100;
/** Characters of a value shown at first. */
const VALUE_SHOWN = 400;

export interface MetadataProps {
  readonly metadata: Readonly<Record<string, string>>;
  readonly training: TrainingMetadata;
  readonly texts: InspectorTexts;
  readonly isAllShown: boolean;
  readonly onShowAll: () => void;
}

/** What the file says about itself, as text: nothing in it is markup. */
export function metadataView(props: MetadataProps): TemplateResult {
  const { metadata, training, texts, isAllShown } = props;
  const entries = Object.entries(metadata);
  if (entries.length === 0) return html`<p class="empty">${texts.noMetadata}</p>`;
  const { triggerWords, settings, tags } = training;
  return html`<div class="metadata">
    ${
      triggerWords.length === 0
        ? nothing
        : html`<section>
            <h2>${texts.triggerWords}</h2>
            <p class="chips">${triggerWords.map((word) => html`<span class="chip">${word}</span>`)}</p>
          </section>`
    }
    ${
      settings.length === 0
        ? nothing
        : html`<section>
            <h2>${texts.trainingSettings}</h2>
            ${pairs(settings, texts, true)}
          </section>`
    }
    ${
      tags.length === 0
        ? nothing
        : html`<section>
            <h2>${texts.tagFrequency}</h2>
            ${tagTable(tags, props)}
          </section>`
    }
    <section>
      <h2>${texts.allMetadata}</h2>
      ${pairs(entries, texts, isAllShown)}
    </section>
    ${
      isAllShown || (tags.length <= TAGS_SHOWN && entries.every(([, value]) => value.length <= VALUE_SHOWN))
        ? nothing
        : html`<button class="link" @click=${props.onShowAll}>${texts.showAll}</button>`
    }
  </div>`;
}

function pairs(entries: readonly (readonly [string, string])[], texts: InspectorTexts, isAllShown: boolean): TemplateResult {
  return html`<table class="pairs">
    <thead class="visually-hidden">
      <tr>
        <th scope="col">${texts.key}</th>
        <th scope="col">${texts.value}</th>
      </tr>
    </thead>
    <tbody>
      ${entries.map(
        ([key, value]) =>
          html`<tr>
            <th scope="row">${key}</th>
            <td>${isAllShown || value.length <= VALUE_SHOWN ? value : `${value.slice(0, VALUE_SHOWN)}…`}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function tagTable(tags: readonly TagCount[], { texts, isAllShown }: MetadataProps): TemplateResult {
  const largest = tags[0]!.count;
  const shown = isAllShown ? tags : tags.slice(0, TAGS_SHOWN);
  return html`<table class="tags" aria-label=${format(texts.tagFrequency)}>
    <thead>
      <tr>
        <th scope="col">${texts.tag}</th>
        <th scope="col" class="number">${texts.count}</th>
        <th aria-hidden="true"></th>
      </tr>
    </thead>
    <tbody>
      ${shown.map(
        ({ tag, count }) =>
          html`<tr>
            <th scope="row">${tag}</th>
            <td class="number">${formatCount(count)}</td>
            <td aria-hidden="true"><progress max=${largest} value=${count}></progress></td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}
