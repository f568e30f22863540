/* Texts of the parts that several webviews are made of, in the person's language; {0} stands for what is put in. */

export interface GridTexts {
  readonly filter: string;
  readonly filterHelp: string;
  readonly shown: string;
  readonly nothingFits: string;
  readonly copyCsv: string;
  readonly copyJson: string;
  readonly copied: string;
}

export interface MapTexts {
  readonly componentUnet: string;
  readonly componentTransformer: string;
  readonly componentTextEncoder: string;
  readonly componentTextEncoder2: string;
  readonly componentTextEncoder3: string;
  readonly componentVae: string;
  readonly componentOther: string;
  readonly block: string;
  readonly blockTotal: string;
  readonly other: string;
  readonly notYet: string;
  readonly mapCell: string;
  readonly mapHelp: string;
}

export interface FigureTexts {
  readonly savePng: string;
  readonly saveSvg: string;
  readonly saved: string;
}

/** Of every page about layers. */
export interface PageTexts {
  readonly overview: string;
  readonly layers: string;
  readonly tryAgain: string;
  readonly stop: string;
  readonly base: string;
  readonly noBase: string;
  readonly chooseBase: string;
  readonly notes: string;
}

export interface HeatMapTexts {
  readonly heatMap: string;
  readonly heatMapHelp: string;
  readonly heatMapValue: string;
  readonly heatMapScale: string;
  readonly zoomIn: string;
  readonly zoomOut: string;
  readonly zoomFit: string;
}

/** Of the detail of one layer. */
export interface DetailTexts extends HeatMapTexts, FigureTexts, Pick<GridTexts, "copyCsv" | "copyJson"> {
  readonly detailOf: string;
  readonly close: string;
  readonly reading: string;
  readonly spectrum: string;
  readonly spectrumX: string;
  readonly spectrumY: string;
}
